"""One suite per seam, run against the real and the simulated implementation, so that the fake cannot drift."""

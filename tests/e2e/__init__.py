"""End-to-end tests: real node processes, the real command line, real files."""

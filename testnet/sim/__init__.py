"""The simulator: whole nodes of the production code in virtual time, reproducible from one seed."""

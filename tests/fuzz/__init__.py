"""The everyday share of fuzzing, its corpus, and the harness itself; `python -m testnet.fuzz` runs the volume."""

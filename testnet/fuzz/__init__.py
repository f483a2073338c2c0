"""Fuzzing: every decoder, validator and handler of the node is fed damaged input by the hundred thousand.

One promise per target: any bytes decode, or raise the errors that the target names; memory and time are bounded.
"""

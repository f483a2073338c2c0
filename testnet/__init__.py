"""Simulator, scenarios and networks of real processes that try to break the node."""

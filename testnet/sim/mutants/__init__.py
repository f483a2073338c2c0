"""Planted bugs: patches of production source, each of which some scenario must find; `make mutants` tries them all.

Nothing here imports `p2pnode`, `wire` or `crypto` by itself: they are imported in fresh processes, after the planting.
"""

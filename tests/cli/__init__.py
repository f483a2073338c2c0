"""Tests of `p2pnode.cli` and of the daemon as a process."""

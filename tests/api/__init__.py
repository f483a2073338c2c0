"""Tests of `p2pnode.api`."""

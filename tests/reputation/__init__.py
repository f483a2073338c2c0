"""Tests of `p2pnode.reputation`."""

"""Tests of `p2pnode.placement`."""

"""Tests of `p2pnode.protocols`."""

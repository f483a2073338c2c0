"""Tests of `p2pnode.services`."""

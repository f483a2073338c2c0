"""Tests of `p2pnode.storage`."""

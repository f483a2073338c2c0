"""Tests of `p2pnode.membership`."""

"""Tests of the networks of real processes, with a small fake node in the real node's place."""

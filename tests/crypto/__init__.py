"""Tests of `crypto`."""

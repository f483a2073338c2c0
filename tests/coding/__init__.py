"""Tests of the Red Stuff code."""

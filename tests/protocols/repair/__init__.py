"""Tests of the decisions of repair."""

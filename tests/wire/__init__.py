"""Tests of `wire`: golden bytes, strictness, limits, framing, names."""

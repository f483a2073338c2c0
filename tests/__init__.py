"""Tests, laid out like the modules that they test."""

"""Tests of the simulator itself, and of whole nodes inside it."""

"""Test vectors that came from outside, with what makes and checks them."""

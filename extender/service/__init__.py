"""Puts the packages together, and runs them."""

"""Simulated storms in SEVIR's layout."""

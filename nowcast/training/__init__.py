"""Training: configuration, windows, the loop and its record."""

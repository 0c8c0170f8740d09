"""The metrics, a family per file, and their table."""

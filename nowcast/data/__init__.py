"""Windows, seeds, names and files that every room shares."""

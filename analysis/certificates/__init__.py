"""Claims with their witnesses: files of them, and their proof again."""

"""Readers of recordings, a file a format. Each says what it expected, what came, and in which file, row and column."""

"""`train`: its options, what it makes of them, and what it says."""

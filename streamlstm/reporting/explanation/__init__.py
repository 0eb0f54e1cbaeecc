"""The page that shows what a detector saw, what it expected, and why it spoke; and that of a scored recording."""

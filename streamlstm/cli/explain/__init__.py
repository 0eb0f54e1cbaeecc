"""`explain`: what the detector saw at a time, what it expected, and why it spoke."""

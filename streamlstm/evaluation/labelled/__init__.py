"""Recordings with labels: the layout of the accuracy benchmark, and recordings of one's own."""

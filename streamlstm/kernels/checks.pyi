"""What the faces of kernels ask of their arrays before any state changes."""

MAX_LAYERS: int
"""Layers of a stack that the step has room for."""

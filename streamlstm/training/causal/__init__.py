"""Training of causal networks: truncated backpropagation through time over padded series, with carried state."""

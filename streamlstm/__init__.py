"""Streaming anomaly detection: an LSTM whose state is carried per stream."""

__version__ = "0.1.0"

"""Recorded telemetry: files in many formats to one series a stream."""

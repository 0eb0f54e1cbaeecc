"""Measures of scores and alerts against labels: plain functions on arrays, one subject a file."""

"""The page of an evaluation: its tables, the worst misses and the worst false alarms."""

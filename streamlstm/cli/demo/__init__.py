"""`demo`: the whole service on one machine, its telemetry, and what became of the known faults."""

"""From recordings to a model bundle: readers, the split by time, the trainer."""

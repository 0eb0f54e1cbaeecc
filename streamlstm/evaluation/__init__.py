"""What a model makes of recordings: replayed, held against known faults, compared with another model."""

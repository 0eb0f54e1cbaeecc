"""What a model finds of faults of known kind and size, injected into its calibration data: known before it is used."""

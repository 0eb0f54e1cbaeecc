"""Plain causal detectors that a model is to beat: each fitted on the warm-up, each in a few lines."""

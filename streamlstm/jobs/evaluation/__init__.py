"""The accuracy benchmark: models are trained on warm-ups, the rest is scored and judged, beside baselines."""

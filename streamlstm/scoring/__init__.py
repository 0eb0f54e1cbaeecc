"""From residual to score to alert: statistics, calibrated tails, thresholds, alert lifecycles, the detector."""

"""`evaluate`: how well anomalies are found in labelled recordings, beside baselines."""

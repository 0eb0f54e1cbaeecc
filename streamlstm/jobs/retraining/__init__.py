"""The retraining job: telemetry of a range of time to a model that is published if it is better than the champion."""

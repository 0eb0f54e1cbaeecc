"""What runs to its end and is not the worker: retraining."""

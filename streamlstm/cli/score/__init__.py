"""`score`: a file or standard input through the worker's own detector and alerts."""

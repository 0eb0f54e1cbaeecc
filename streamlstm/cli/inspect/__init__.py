"""`inspect`: what a file holds, model bundle or local log."""

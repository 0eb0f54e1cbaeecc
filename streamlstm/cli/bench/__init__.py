"""`bench`: speed on this machine, beside the installed peers."""

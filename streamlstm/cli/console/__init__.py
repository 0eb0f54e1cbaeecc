"""What verbs share to speak with the person at the terminal: results, log lines, progress, checked options."""

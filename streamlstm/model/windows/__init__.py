"""Networks that see a whole window, before and after each sample."""

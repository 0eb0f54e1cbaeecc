"""Pages for people to look at: what a training came to, in one HTML file that needs nothing else."""

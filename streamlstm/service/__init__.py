"""The worker and its commit protocol; what it needs of the outside is named in `ports`."""

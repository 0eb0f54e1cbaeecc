"""Models as files: bundles, how they are written and read, and the registry of their versions."""

"""The branches of a score: each makes statistics of every sample, with a state of its own. One file a branch."""

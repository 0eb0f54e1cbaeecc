"""The command line: reads configuration, builds the objects, runs them. One file a group of verbs."""

from streamlstm.cli.app import main

__all__ = ["main"]

"""The command line: reads configuration, builds the objects, runs them. One file a group of verbs."""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line. It is imported here, so that Ctrl-C ends that part without a traceback too."""
    try:
        from streamlstm.cli.app import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()

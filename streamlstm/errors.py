"""Every error streamlstm raises, one tree.

A message says what was expected, what came, where, and what to do. Whether trying again can help is the
attribute `retriable` of the class.

    StreamLstmError
     |- UsageError            a command or call that cannot be carried out as it was given
     |   `- ConfigError       a configuration file; carries file, line and key
     |- ShapeError            an array of the wrong shape, dtype or order (also a ValueError)
     |- DataError             training or scoring data that cannot be used; carries file and row
     |- BundleError           a model bundle that is truncated, altered, foreign or of another version
     |- SnapshotError         a state snapshot that is truncated, altered or of another version
     |- ProtocolError         a step that the commit protocol does not allow there: state, offset and output would part
     |- RegistryError         a folder of published models that is damaged, held by another or cannot be written
     `- TransportError        the log (broker, file) refused or failed
         |- UnreachableError  nobody answers, or not as configured (retriable)
         `- FencedError       another worker has taken over; this one must stop
"""

__all__ = [
    "BundleError",
    "ConfigError",
    "DataError",
    "FencedError",
    "ProtocolError",
    "RegistryError",
    "ShapeError",
    "SnapshotError",
    "StreamLstmError",
    "TransportError",
    "UnreachableError",
    "UsageError",
]


class StreamLstmError(Exception):
    """Base of every error of this package."""

    retriable = False


class UsageError(StreamLstmError):
    """A command or call that cannot be carried out as it was given."""


class ConfigError(UsageError):
    """A configuration file that is not valid."""


class ShapeError(StreamLstmError, ValueError):
    """An array of the wrong shape, dtype or memory order. Raised before any state changes."""


class DataError(StreamLstmError):
    """Data that cannot be used; the message names the file and the row."""


class BundleError(StreamLstmError):
    """A model bundle that is truncated, altered, foreign or of another version."""


class SnapshotError(StreamLstmError):
    """A snapshot of stream state that is truncated, altered or of another version."""


class ProtocolError(StreamLstmError):
    """A step of the commit protocol that is refused, because state, offsets and outputs would no longer agree."""


class RegistryError(StreamLstmError):
    """A folder of published models that is damaged, held by another process or cannot be written."""


class TransportError(StreamLstmError):
    """The log (a broker, a local file) refused or failed."""


class UnreachableError(TransportError):
    """Nobody answers, or not in the way that was configured."""

    retriable = True


class FencedError(TransportError):
    """Another worker has taken over this one's place; this one must stop."""

"""The version of this release, for every floor that writes it into what it makes."""

__all__ = ["__version__"]

__version__ = "0.2.0"

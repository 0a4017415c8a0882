"""gotunnel: a reverse tunnel on Twisted. This package contains everything; importing it imports nothing heavy."""

__version__ = "0.1.0"

__all__ = ["__version__"]

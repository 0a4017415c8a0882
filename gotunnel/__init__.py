"""gotunnel: a reverse tunnel on Twisted. This package holds everything; importing it imports nothing heavy."""

__version__ = "0.1.0"

__all__ = ["__version__"]

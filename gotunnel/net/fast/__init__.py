"""The fast relay (Linux): few system calls per byte and per visitor, on descriptors of its own instead of Twisted
transports. The portable relay is its reference and its fallback; both pass the same conformance suite."""

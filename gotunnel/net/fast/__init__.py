"""The fast relay (Linux): few system calls per byte and per visitor, on its own descriptors instead of Twisted
transports. The portable relay is its reference and fallback; both pass the same conformance tests."""

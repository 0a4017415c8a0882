"""A server and a client in one process, on loopback and the real reactor."""

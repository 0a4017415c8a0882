"""Version 1 of the protocol, the wire of the Go gotunnel, in both directions."""

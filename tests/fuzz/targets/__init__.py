"""The targets. Each module has `attempt(data)`, which takes any bytes and raises for what must not happen; what a peer
may be told is no such thing."""

"""Normal events, many times over, and the failures that other tunnels were shipped with."""

"""gotunnel inside WebSockets, for networks that let nothing else out. Loaded where a configuration names it."""

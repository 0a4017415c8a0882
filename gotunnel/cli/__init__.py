"""The commands `gotunnel`, `gotunnel-server` and `gotunnel-client`. Each imports what it needs when it is called."""

"""The client of a Go server: version 1 of the protocol, used only if configured."""

"""Moves bytes between sockets: framing, dialling, legs, TLS, relays. Decides nothing about access or rights."""

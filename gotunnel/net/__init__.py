"""How bytes touch sockets: framing, dialling, legs, TLS, relays. Decides nothing about who may do what."""

"""Clients of version 1, the Go gotunnel, on this server: off unless the configuration enables them. Whatever is said of
version 2 is outside."""

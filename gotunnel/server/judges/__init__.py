"""The authenticators and access policies that gotunnel has. Each is loaded by servers whose configuration names it."""

"""Peers that break the contract on purpose, strangers, and what outside judges say of a running server."""

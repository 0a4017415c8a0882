"""Clients of version 1, the Go gotunnel, on this server; off unless enabled in the configuration.

Statements about version 2 elsewhere do not apply here.
"""

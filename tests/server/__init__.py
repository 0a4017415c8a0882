"""Tests of gotunnel.server."""

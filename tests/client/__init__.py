"""Tests of gotunnel.client."""

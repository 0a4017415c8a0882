"""Tests of what travels, bytes and values only: no reactor, no socket, no clock."""

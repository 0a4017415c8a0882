"""Tests of what touches sockets."""

"""Tests of how an operator asks."""

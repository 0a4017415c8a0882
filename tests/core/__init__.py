"""Tests of gotunnel.core: facts in, decisions out, no reactor anywhere."""

from hypothesis import settings

PROPERTY = settings(derandomize=True, deadline=None, database=None, max_examples=60, stateful_step_count=40)
"""How every property test here runs: the same examples each time, nothing written to disk."""

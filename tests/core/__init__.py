"""Tests of gotunnel.core: facts in, decisions out, no reactor anywhere."""

from hypothesis import HealthCheck, settings

PROPERTY = settings(
    derandomize=True, deadline=None, database=None, max_examples=60, stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
"""How every property test here runs: the same examples each time, nothing written to disk."""

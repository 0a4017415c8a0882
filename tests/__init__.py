"""The tests of gotunnel: `make test`, `trial tests` or `pytest tests`. No test needs a fixed port or the Internet."""

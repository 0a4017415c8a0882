"""Fuzzing: one target for each parser and each end of a conversation, a small corpus for each, and two engines:
atheris where it is installed, else a seeded mutator of our own that needs nothing. A tool of developers; a test runs
each target for a moment."""

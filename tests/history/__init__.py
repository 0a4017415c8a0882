"""The history of traffic: what is taken, written, read, and what becomes of a file that is no good."""

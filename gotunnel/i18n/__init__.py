"""Texts for an operator in languages other than English. The rest of gotunnel is in English: formats of log lines are
constants, and sentences reach this package as they were raised. Imports nothing of gotunnel except its errors."""

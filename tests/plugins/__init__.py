"""Plugins: how they are found and named, what they are told, and what each of gotunnel's own does."""

"""gotunnel's own authenticators and access policies. Each is imported only if the configuration names it."""

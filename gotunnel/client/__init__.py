"""The client role: connects to a server, publishes mappings there, and brings legs for their visitors.

Suggested reading order: link (the lasting connection to a server), session, published (the mappings), legs (which carry
the visitors). The entry point is service.
"""

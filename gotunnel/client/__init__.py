"""The client role: it connects to a server, publishes mappings there, and brings legs for their visitors.

To read in this order: link (the lasting tie to a server), session, published (the mappings), legs (what one visitor
travels on). What starts it all: service.
"""

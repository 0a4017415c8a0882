"""The server role: it accepts clients on one port, opens public ports for them, and joins visitors to legs.

To read in the order in which one visitor travels: public, peer, legs, then net.leg. What precedes him: reception,
greeting, session, hub. What starts it all: service.
"""

"""The server role: it accepts clients on one port, opens public ports for them, and joins visitors to legs.

To follow one visitor, read public, peer, legs, then net.leg. For how a client connects, read reception, greeting,
session, hub. service starts everything.
"""

"""Tells `twistd` and `twist` of the two roles. Every Twisted program on the machine imports this file, and so it
imports nothing of gotunnel and no reactor."""

from twisted.application.service import ServiceMaker

gotunnel_server = ServiceMaker(
    "gotunnel server",
    "gotunnel.tap.server",
    "A gotunnel server: publishes ports for clients behind NAT.",
    "gotunnel-server",
)

gotunnel_client = ServiceMaker(
    "gotunnel client",
    "gotunnel.tap.client",
    "A gotunnel client: publishes local ports on a gotunnel server.",
    "gotunnel-client",
)

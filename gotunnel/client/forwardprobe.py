"""Finds out whether the target of a forward speaks TLS. The target is behind the server, so the probe is sent there as
a visitor of our own."""

from __future__ import annotations

import socket
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from gotunnel.address import HostPort
from gotunnel.client.forwards import Forwards
from gotunnel.client.forwardvisitors import OwnVisitor
from gotunnel.client.tlsprobe import ask_on
from gotunnel.config.model import ForwardConfig
from gotunnel.errors import DialFailed, Sentence
from gotunnel.interfaces import IRelay
from gotunnel.wire.proxyheader import proxy_header_of_nobody

__all__ = ["ask_through"]

OWN = "tls-check"
"""Used in place of the probe's address."""


def ask_through(reactor: Any, relay: IRelay, forwards: Forwards, config: ForwardConfig) -> Deferred[str | None]:
    """Connect to a forward's target through the server, and begin TLS. Fires and fails like `tlsprobe.ask_for_tls`."""
    near, far = socket.socketpair()
    far.setblocking(False)
    try:
        local = relay.take(far, OWN, "")
    except OSError as failed:
        near.close()
        return fail(DialFailed("no_fds", Sentence("no pair of sockets: {failed}", failed=failed)))
    if config.proxy_protocol != "off":
        near.send(proxy_header_of_nobody(config.proxy_protocol))
    host = config.dial.host if isinstance(config.dial, HostPort) else None
    met: Deferred[None] = Deferred(lambda _: local.abort())
    # The handshake starts only when the target is reached, since that may take longer than an answer in TLS may.
    asked: Deferred[str | None] = met.addCallbacks(lambda _: ask_on(reactor, near, host), partial(_closed, near))
    conn, now = forwards.next_conn(), reactor.seconds()
    forwards.let_in(OwnVisitor(conn, config.name, forwards.outside, local, now, config.dial, forwards.openers, met))
    return asked


def _closed(sock: socket.socket, failure: Failure) -> Failure:
    sock.close()
    return failure

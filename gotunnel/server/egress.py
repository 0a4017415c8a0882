"""The server's egress socket: leads each request to the client that announced the node, or nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IDelayedCall

from gotunnel.config.model import ServerEgressConfig
from gotunnel.core.loglimit import LogLimit
from gotunnel.errors import PortUnavailable
from gotunnel.logs import Logger
from gotunnel.net.egress import EgressPort, EgressRequest
from gotunnel.server.crossing import NodeVisitor, node_peer

if TYPE_CHECKING:
    from gotunnel.server.direct import Direct
    from gotunnel.server.hub import Hub

__all__ = ["Egress"]

LISTEN_AGAIN = 5.0
"""Seconds between attempts to listen."""


class Egress:
    """Listens from `start` to `stop`, and goes on trying where that fails."""

    log = Logger()

    def __init__(self, hub: Hub, config: ServerEgressConfig, reactor: Any) -> None:
        self._hub = hub
        self._config = config
        self._reactor = reactor
        self._port: EgressPort | None = None
        self._again: IDelayedCall | None = None
        self._failure = ""
        self._lines = LogLimit(rate=1.0, burst=10)
        self._direct: Direct | None = None
        if config.default == "direct":
            # And with it the portable relay, which nobody else may need.
            from gotunnel.server.direct import Direct

            self._direct = Direct(hub, reactor)

    def start(self) -> None:
        """Listen."""
        self._again = None
        config = self._config
        try:
            gate = self._hub.relay.gate
            self._port = EgressPort(self._reactor, config.listen.path, config.socket_mode, self._asked, gate)
        except PortUnavailable as failed:
            if failed.reason != self._failure:
                self._failure = failed.reason
                self.log.error(
                    "the egress socket cannot be opened: {reason}; change egress.listen, or free it: it is tried again "
                    "every {seconds:g} s",
                    reason=failed.reason, seconds=LISTEN_AGAIN,
                )  # fmt: skip
            self._again = self._reactor.callLater(LISTEN_AGAIN, self.start)
            return
        self._failure = ""
        self.log.info("egress socket open at {address}", address=str(config.listen))

    async def stop(self) -> None:
        """Accept nobody any more; what streams goes on."""
        if self._again is not None:
            self._again.cancel()
            self._again = None
        port, self._port = self._port, None
        if port is not None:
            await maybeDeferred(port.stopListening)

    def release(self) -> None:
        """The server is drained: let go of what is left."""
        if self._direct is not None:
            self._direct.stop()

    def _asked(self, request: EgressRequest) -> None:
        hub, target = self._hub, request.target
        peer = node_peer(hub, target)
        if peer is None and self._direct is not None:
            self._direct.serve(request)
            return
        if peer is None:
            if self._lines.allow("node", hub.clock.seconds())[0]:
                self.log.warn(
                    "asked on the egress socket for {target}, which no client announces (client.nodes)",
                    target=str(target),
                )  # fmt: skip
            request.refuse("unknown_node", "no client announces it (client.nodes)")
            return
        local = request.accept(hub.relay)
        if local is None:
            return
        conn, now = hub.next_conn(), hub.clock.seconds()
        peer.let_in(NodeVisitor(conn, f"node {target}", False, local, now, request, target, peer))

"""The server's egress socket: passes each request to a client that announced the node, or refuses it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gotunnel.config.model import ServerEgressConfig
from gotunnel.core.loglimit import LogLimit
from gotunnel.errors import Sentence
from gotunnel.logs import Logger
from gotunnel.net.egress import EgressPort, EgressRequest
from gotunnel.net.persistent import LISTEN_AGAIN, Persistent
from gotunnel.server.crossing import NodeVisitor, node_peer

if TYPE_CHECKING:
    from gotunnel.server.direct import Direct
    from gotunnel.server.hub import Hub

__all__ = ["Egress"]


class Egress:
    """Listens from `start` to `stop`, and keeps retrying if that fails."""

    log = Logger()

    def __init__(self, hub: Hub, config: ServerEgressConfig, reactor: Any) -> None:
        self._hub = hub
        self._config = config
        self._reactor = reactor
        self._port = Persistent(reactor, self._listen, self._cannot_listen)
        self._lines = LogLimit(rate=1.0, burst=10)
        self._direct: Direct | None = None
        if config.default == "direct":
            # Imported here because it loads the portable relay, which nothing else may need.
            from gotunnel.server.direct import Direct

            self._direct = Direct(hub, reactor)

    @property
    def address(self) -> str:
        """The address it listens on, or tries to."""
        return str(self._config.listen)

    @property
    def failure(self) -> str | None:
        """Why it is not listening, or None."""
        return self._port.trouble

    def start(self) -> None:
        """Start listening."""
        self._port.start()

    def _listen(self) -> EgressPort:
        config, gate = self._config, self._hub.relay.gate
        port = EgressPort(self._reactor, config.listen.path, config.socket_mode, self._asked, gate)
        self.log.info("egress socket open at {address}", address=str(config.listen))
        return port

    def _cannot_listen(self, reason: str) -> None:
        self.log.error(
            "the egress socket cannot be opened: {reason}; change egress.listen, or free it: it is tried again "
            "every {seconds:g} s",
            reason=reason, seconds=LISTEN_AGAIN,
        )  # fmt: skip

    async def stop(self) -> None:
        """Stop accepting requests; existing streams continue."""
        await self._port.stop()

    def release(self) -> None:
        """Reset the remaining direct streams, after draining."""
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
        peer.let_in(NodeVisitor(conn, Sentence(
            "node {target}", target=target
        ), False, local, now, request, target, peer))

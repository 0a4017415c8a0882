"""Serves the visitors of one mapping at a Go server: brings the legs that the server requests, and joins each to the
target that this client's own configuration names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from gotunnel.client.v1.stream import V1Stream
from gotunnel.config.model import MappingConfig
from gotunnel.core.outcome import WORDS, Outcome
from gotunnel.core.stream import StreamEnd
from gotunnel.core.usage import Usage
from gotunnel.errors import DialFailed, GotunnelError, printable
from gotunnel.logs import Logger
from gotunnel.net.dialer import ServerPath
from gotunnel.net.joint import Joint
from gotunnel.net.local import Local
from gotunnel.net.raw import RawRelay
from gotunnel.net.v1greeting import V1Greeting
from gotunnel.net.warnings import Warnings
from gotunnel.wire import v1
from gotunnel.wire.legstate import End
from gotunnel.wire.proxyheader import proxy_header_of_nobody

__all__ = ["NOBODY", "V1Serving"]

GREETING_TIMEOUT = 10.0
"""Seconds for the connect of a leg, and again for its first exchange."""
MOST_VISITORS = 1024
"""Most visitors of one mapping at a time. Version 1 has no way to agree on a limit, and a hostile server must not make
us open connections without end."""
NOBODY = "(unknown)"
"""Used in place of a visitor's address, which version 1 does not send."""


class V1Serving:
    """The base of a session that serves visitors. `conns` numbers them for the log. `changed` is called when a stream
    begins and when anything ends."""

    log = Logger()

    def __init__(
        self,
        clock: Any,
        relay: RawRelay,
        path: ServerPath,
        mapping: MappingConfig,
        register: v1.Register,
        dial_timeout: float,
        conns: Iterator[int],
        changed: Callable[[], None],
        usage: Usage,
        carried: Callable[[str, StreamEnd | None], None],
    ) -> None:
        self._clock = clock
        self._relay = relay
        self._path = path
        self._mapping = mapping
        self._register = register
        self._dial_timeout = dial_timeout
        self._conns = conns
        self._changed = changed
        self._usage = usage
        self._carried = carried
        self._streams: dict[Joint, V1Stream] = {}
        self._bringing: dict[Deferred[None], V1Stream] = {}
        self._warn = Warnings(self.log, clock).warn

    @property
    def streams(self) -> int:
        """Visitors that are served or about to be."""
        return len(self._streams) + len(self._bringing)

    @property
    def served(self) -> tuple[tuple[Joint, V1Stream], ...]:
        """The running streams."""
        return tuple(self._streams.items())

    @property
    def dialling(self) -> tuple[V1Stream, ...]:
        """The visitors whose target is being dialled, or whose leg is being made."""
        return tuple(self._bringing.values())

    def reset_streams(self) -> None:
        """Reset all streams that still run."""
        for bringing, stream in tuple(self._bringing.items()):
            stream.dropped = True
            bringing.cancel()
        for joint in tuple(self._streams):
            joint.reset(Outcome.DRAINED)

    def kick(self, conn: str) -> bool:
        """Reset the visitor with this id, even while its target is being dialled. Returns False if there is none."""
        for joint, stream in self._streams.items():
            if stream.conn == conn:
                joint.reset(Outcome.STOPPED)
                return True
        for stream in self._bringing.values():
            if stream.conn == conn:
                stream.kick()
                return True
        return False

    def _open(self, message: v1.OpenDataChannel) -> None:
        port = message.local_port
        if port != self._register.local_port:
            self._warn("unknown", "the server opens port {port}, which this client does not have", port=port)
            return
        if self.streams >= MOST_VISITORS:
            self._warn("many", "the server opens more than {most} visitors at a time", most=MOST_VISITORS)
            return
        conn = f"{self._register.remote_port}-{next(self._conns)}"
        stream = V1Stream(conn, self._clock.seconds(), self._usage.began("", self._mapping.name))
        bringing = Deferred.fromCoroutine(self._serve(stream))
        self._bringing[bringing] = stream
        bringing.addBoth(self._brought, bringing)
        self._changed()

    def _brought(self, result: Any, bringing: Deferred[None]) -> None:
        del self._bringing[bringing]
        if result is not None and not result.check(CancelledError):
            self.log.failure("joining a leg to its target failed", result)
        self._changed()

    async def _serve(self, stream: V1Stream) -> None:
        if self._usage.observers is not None:
            self._usage.observers.opened(stream, stream.conn, "", self._mapping.name, NOBODY)
        outcome: Outcome | None = Outcome.DRAINED
        try:
            outcome = await self._lead(stream)
        finally:
            if outcome is not None:
                self._over(stream, outcome, None)

    async def _lead(self, stream: V1Stream) -> Outcome | None:
        """Lead a visitor to its target. Returns the outcome if that failed, else None."""
        target = await self._dial(stream)
        try:
            leg = v1.DataChannel(
                self._register.local_port, self._register.remote_port, self._register.token, self._register.name
            )
            greeting = V1Greeting(self._clock, GREETING_TIMEOUT, leg)
            greeted = await self._path.greet_leg(greeting, GREETING_TIMEOUT, plain=True, sni=None)
        except GotunnelError as failed:
            if target is not None:
                target.abort()
            if stream.dropped:
                raise CancelledError from None
            self._warn("leg", "a leg could not be brought to the server: {reason}", reason=printable(failed, 256))
            if stream.kicked:
                return Outcome.STOPPED
            return Outcome.NO_LEG if target is not None else Outcome.REFUSED
        except BaseException:
            if target is not None:
                target.abort()
            raise
        if target is None or stream.kicked:
            # Version 1 cannot report that a target does not answer. Without a leg the visitor would wait a minute.
            greeted.transport.abortConnection()
            if target is not None:
                target.abort()
            return Outcome.STOPPED if stream.kicked else Outcome.REFUSED
        far = self._relay.adopt(greeted.transport)
        joint = self._relay.join(target, far, End.DIALLER, self._killed, lambda end: self._ended(joint, end))
        self._streams[joint] = stream
        joint.begin(greeted.leftover)
        return None

    def _over(self, stream: V1Stream, outcome: Outcome, end: StreamEnd | None) -> None:
        self._usage.ended(stream.account, outcome, end)
        if self._usage.observers is not None:
            self._usage.observers.closed(stream, outcome, end)
        self._carried(self._mapping.name, end)

    async def _dial(self, stream: V1Stream) -> Local | None:
        mapping, conn = self._mapping, stream.conn
        stream.dial = self._relay.dial(mapping.local, self._dial_timeout)
        try:
            target = await stream.dial
        except (DialFailed, CancelledError) as failed:
            if stream.dropped or (isinstance(failed, CancelledError) and not stream.kicked):
                raise CancelledError from None
            if stream.kicked:
                return None
            self._warn(
                mapping.name, "visitor {visitor} of {mapping} did not reach its target: {reason} ({conn})",
                visitor=NOBODY, mapping=mapping.name, reason=printable(failed, 256), conn=conn,
            )  # fmt: skip
            return None
        finally:
            stream.dial = None
        self._usage.dial.observe(self._clock.seconds() - stream.began)
        if mapping.proxy_protocol != "off":
            target.begin_with(proxy_header_of_nobody(mapping.proxy_protocol))
        self.log.debug(
            "visitor {visitor} of {mapping} reached {target} ({conn})",
            visitor=NOBODY, mapping=mapping.name, target=str(mapping.local), conn=conn,
        )  # fmt: skip
        return target

    def _ended(self, joint: Joint, end: StreamEnd) -> None:
        stream = self._streams.pop(joint)
        self._over(stream, end.outcome, end)
        now, mapping = self._clock.seconds(), self._mapping.name
        if self._usage.crowds.has_line(now, mapping, end.outcome, end):
            self.log.info(
                "visitor {visitor} of {mapping} ended: {outcome}{code}, {up} bytes up, {down} down, {seconds:.3f} s "
                "({conn})",
                visitor=NOBODY, mapping=mapping, outcome=WORDS[end.outcome], code="", up=end.up, down=end.down,
                seconds=now - stream.began, conn=stream.conn,
            )  # fmt: skip
        self._changed()

    def _killed(self) -> bool:
        """Return whether the server has closed the control connection, as the kernel does for a process that dies."""
        raise NotImplementedError

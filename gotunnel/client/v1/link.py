"""The lasting connection of one mapping to a Go server: registers it while its target is up, and reconnects for ever.
Sessions do the rest."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from gotunnel.client.published import Published
from gotunnel.client.standing import Standing
from gotunnel.client.v1.session import V1ClientSession, registration
from gotunnel.config.model import ClientConfig, MappingConfig
from gotunnel.core.backoff import Backoff
from gotunnel.core.usage import Usage
from gotunnel.errors import AuthRejected, GotunnelError, printable
from gotunnel.logs import Logger
from gotunnel.net.dialer import ServerPath
from gotunnel.net.raw import RawRelay
from gotunnel.net.v1greeting import V1Greeting
from gotunnel.wire.messages import MappingResult
from gotunnel.wire.v1 import HEARTBEAT

__all__ = ["V1Link"]

CONNECT_TIMEOUT = 10.0
"""Seconds for the connect, and again for the first exchange."""
REFUSED_PAUSE = 5.0
"""Minimum seconds between attempts after the server has refused: somebody must fix something first."""
CODES = ("acl_denied", "port_in_use", "reserved", "limit", "bad_request", "no_fds")
"""The codes that a server of ours puts before its reason; a Go server sends only words."""


class V1Link:
    """One per mapping, from `start` to `close`.

    While the target is down, the mapping is not registered at all. Version 1 has `online_port`, but a Go server that
    gets it listens for visitors and serves none of them until it is restarted; a new registration works.
    """

    log = Logger()

    def __init__(
        self,
        config: ClientConfig,
        clock: Any,
        relay: RawRelay,
        path: ServerPath,
        published: Published,
        mapping: MappingConfig,
        changed: Callable[[], None],
        usage: Usage,
    ) -> None:
        self.mapping = mapping
        self._usage = usage
        self._config = config
        self._clock = clock
        self._relay = relay
        self._path = path
        self._published = published
        self._mapping = mapping
        self._changed = changed
        self._backoff = Backoff()
        self._conns = itertools.count(1)
        self._session: V1ClientSession | None = None
        self._sessions: set[V1ClientSession] = set()  # the current one, and older ones that still have streams
        self._running: Deferred[None] | None = None
        self._down = False
        self._woken: Deferred[None] | None = None  # fires when the target is up
        self._stopping = False

    def start(self) -> None:
        """Start to connect."""
        self._running = Deferred.fromCoroutine(self._run())
        self._running.addErrback(lambda failure: self.log.failure("the link to the server broke down", failure))

    @property
    def streams(self) -> int:
        """Visitors that are being served."""
        return sum(session.streams for session in self._sessions)

    @property
    def sessions(self) -> tuple[V1ClientSession, ...]:
        """The current session, and older ones that still have streams."""
        return tuple(self._sessions)

    @property
    def broken(self) -> bool:
        """Whether the link has ended without a request: a bug."""
        return self._running is not None and self._running.called and not self._stopping

    @property
    def current(self) -> V1ClientSession | None:
        """The session that is registered now; None if there is none."""
        return self._session

    @property
    def gone(self) -> bool:
        """Whether nothing is left of any session."""
        return not self._sessions

    def target(self, up: bool) -> None:
        """Note that the target is up or down."""
        self._down = not up
        if up and self._woken is not None:
            woken, self._woken = self._woken, None
            woken.callback(None)
        elif not up and self._session is not None:
            self._leave(self._session)

    def drain(self) -> None:
        """Let no more visitors in."""
        self._stopping = True
        if self._session is not None:
            self._session.offline()
        elif self._running is not None:
            self._running.cancel()  # it is connecting, waiting to retry, or waiting for its target

    async def close(self) -> None:
        """Reset all streams and disconnect. `drain` must have been called before."""
        for session in tuple(self._sessions):
            session.reset_streams()
        if self._session is not None:
            self._session.close("stopping")
        if self._running is not None:
            await self._running

    def session_changed(self) -> None:
        """Handle the end of a stream or session."""
        self._sessions = {session for session in self._sessions if not session.gone}
        self._changed()

    async def _run(self) -> None:
        try:
            while True:
                if self._down:
                    await self._until_up()
                delay = await self._attempt()
                if self._stopping:
                    return
                await self._sleep(delay)
        except CancelledError:
            return

    async def _attempt(self) -> float:
        """Register, wait for the end of the session, and return the seconds until the next attempt."""
        server, mapping = str(self._path.address), self._mapping
        try:
            session = await self._connect()
        except CancelledError:
            raise
        except AuthRejected as refused:
            code, _, reason = refused.reason.partition(": ")
            known = code in CODES
            self._say(MappingResult(
                mapping.name, "fail", None, code if known else "refused", reason if known else refused.reason
            ))  # fmt: skip
            delay = self._backoff.slow(REFUSED_PAUSE)
            if self._published.news:
                self.log.info(
                    "asking again for mapping {mapping} in {seconds:.1f} s", mapping=mapping.name, seconds=delay
                )
        except GotunnelError as failed:
            if self._stopping:  # Twisted reports a cancelled lookup as one that failed
                raise CancelledError from None
            delay = self._backoff.failed()
            self.log.warn(
                "not connected to the server {server} for mapping {mapping}: {reason}; next try in {seconds:.1f} s",
                server=server, mapping=mapping.name, reason=printable(failed, 256), seconds=delay,
            )  # fmt: skip
        except Exception:  # noqa: BLE001 - a bug must not leave a mapping closed for good
            self.log.failure("connecting to the server {server}", server=server)
            delay = self._backoff.slow(REFUSED_PAUSE)
        else:
            delay = await self._stay(session)
        return delay

    async def _connect(self) -> V1ClientSession:
        config, clock = self._config, self._clock
        first = registration(config.name, config.token.get_secret_value(), self._mapping)
        greeted = await self._path.greet(V1Greeting(clock, CONNECT_TIMEOUT, first), CONNECT_TIMEOUT)
        session = V1ClientSession(
            clock, self._relay, self._path, self._mapping, first, config.dial_timeout,
            config.heartbeat_interval or HEARTBEAT, self._conns, self.session_changed, self._usage,
            self._published.carried,
        )  # fmt: skip
        self._session = session
        self._sessions.add(session)
        try:
            session.begin(greeted)
        except Exception:
            self._session = None
            self._sessions.discard(session)
            greeted.transport.abortConnection()
            raise
        return session

    async def _stay(self, session: V1ClientSession) -> float:
        self._backoff.connected(self._clock.seconds())
        self._say(MappingResult(self._mapping.name, "ok", self._mapping.remote_port))
        if self._down:
            self._leave(session)
        reason = await session.ended
        self._session = None
        self._published.statuses[self._mapping.name].standing = Standing.PENDING
        self._backoff.lost(self._clock.seconds())
        delay = self._backoff.failed()
        if not self._stopping and not self._down:
            self.log.warn(
                "connection to the server {server} for mapping {mapping} lost: {reason}; next try in {seconds:.1f} s",
                server=str(self._path.address), mapping=self._mapping.name, reason=printable(reason, 256),
                seconds=delay,
            )  # fmt: skip
        return delay

    @staticmethod
    def _leave(session: V1ClientSession) -> None:
        """Close the port at once, since its target is down. Another session registers it when it is up."""
        session.offline()
        session.close("its target is down")

    def _say(self, result: MappingResult) -> None:
        self._published.answered((result,), self._clock.seconds())

    async def _until_up(self) -> None:
        self._woken = Deferred()
        await self._woken

    async def _sleep(self, seconds: float) -> None:
        slept: Deferred[None] = Deferred(lambda _: call.cancel())
        call = self._clock.callLater(seconds, slept.callback, None)
        await slept

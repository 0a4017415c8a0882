"""The lasting connection of a client to one server: connects, keeps a session, and reconnects for ever. Sessions do the
rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from gotunnel.client.attempt import SameServer, greet, hint, kept_code
from gotunnel.client.changing import ChangingLink
from gotunnel.client.ending import EndingLink
from gotunnel.client.leaving import Leaving
from gotunnel.client.pace import RESERVE, Pace
from gotunnel.client.published import Published
from gotunnel.client.session import ClientSession
from gotunnel.client.shared import Shared
from gotunnel.config.model import ClientConfig
from gotunnel.errors import AuthRejected, GotunnelError, Sentence, printable
from gotunnel.interfaces import IRelay
from gotunnel.logs import Logger
from gotunnel.net.dialer import ServerPath, Unreachable
from gotunnel.net.greeting import Greeted
from gotunnel.net.patience import Draining, Patience
from gotunnel.net.quiet import nothing
from gotunnel.net.transports import hand_over

__all__ = ["Link"]


class Link(ChangingLink, EndingLink):
    """One per server, or per address of a server. Runs from `start` until it is drained or retired."""

    log = Logger()

    def __init__(
        self,
        config: ClientConfig,
        clock: Any,
        relay: IRelay,
        path: ServerPath,
        shared: Shared,
        proved: Callable[[], None] = lambda: None,
    ) -> None:
        """`proved` is called whenever the server has proved itself."""
        self.usage = shared.usage
        self.trouble = ""
        """Why there is no session, while there is none."""
        self.failure: GotunnelError | None = None
        """The error of the last attempt, if a server refused it or could not be reached."""
        self.since = clock.seconds()
        """When the present state without a session began."""
        self.next_try: float | None = None
        """When the next attempt is due, while waiting for it."""
        self.published = Published(config.mappings, path.address, self._retry)
        self.server_ip = ""
        """The address at which the server was last reached."""
        self.session: ClientSession | None = None
        self.reserve = ""
        """The address that has a session with the same server, while this link is kept in reserve; else empty."""
        self.retired = lambda: None
        self.noticed = nothing
        self._config = config
        self._clock = clock
        self._relay = relay
        self.path = path
        self._shared = shared
        self._proved = proved
        self._pace = Pace(config.profile)
        self._leaving = Leaving(clock, self.published, self.cut)
        self._running: Deferred[None] | None = None
        self._sessions: set[ClientSession] = set()  # the current one, and older ones that still have legs
        self._patience = Patience(clock)
        self._draining = Draining(self._patience, self._drain)

    @property
    def label(self) -> str:
        """The server's name in logs."""
        return self.path.label

    def start(self) -> None:
        """Start to connect."""
        self._running = Deferred.fromCoroutine(self._run())
        self._running.addErrback(lambda failure: self.log.failure("the link to the server broke down", failure))
        self._running.addCallback(lambda _: self._look_for_the_end())

    def target_changed(self, name: str, up: bool, reason: str) -> None:
        """Note that a target of the client is down or up, and tell the server."""
        self.published.set_down(name, None if up else reason)
        if self.session is not None:
            self.session.tell(name, up, reason)

    async def _run(self) -> None:
        try:
            while True:
                self._again = False
                seconds = await self._attempt()
                self.next_try = self._clock.seconds() + seconds
                self.noticed()
                await self._sleep(seconds)
                self.next_try = None
        except CancelledError:
            return

    @property
    def connecting(self) -> bool:
        """Whether an attempt is in progress."""
        return self.session is None and self.next_try is None and not self._draining.begun

    @property
    def sessions(self) -> tuple[ClientSession, ...]:
        """The current session, and older ones that still have legs."""
        return tuple(self._sessions)

    async def _attempt(self) -> float:
        """Connect, wait for the end of the session, and return the seconds until the next attempt. Raises
        CancelledError if there should be none."""
        server, moves = self.label, self._moves
        try:
            session = await self._connect()
        except CancelledError:
            raise
        except SameServer as same:
            other, before = str(same), self.reserve
            self._failed(None, Sentence("it is the server of {other}: kept in reserve", other=other), other)
            if before != other:
                self.log.info(
                    "{server} leads to the same server as {other}: kept in reserve", server=server, other=other
                )
            return self._soon(RESERVE)
        except AuthRejected as refused:
            delay = self._soon(self._pace.refused(refused.retry_after))
            self._failed(refused, Sentence("{why}{hint}", why=refused, hint=hint(refused)))
            self.usage.refused[kept_code(refused)] += 1
            self.log.error(
                "the server {server} does not let this client in: {reason}{hint}; next try in {seconds:.1f} s",
                server=server, reason=str(refused), hint=hint(refused), seconds=delay,
            )  # fmt: skip
        except GotunnelError as failed:
            if self._over:  # Twisted reports a cancelled lookup as one that failed
                raise CancelledError from None
            delay = self._soon(self._pace.not_reached(self._clock.seconds()))
            self._failed(failed, printable(failed, 256))
            self.log.warn(
                "not connected to the server {server}: {reason}; next try in {seconds:.1f} s",
                server=server, reason=printable(failed, 256), seconds=delay,
            )  # fmt: skip
        except Exception:  # noqa: BLE001 - a bug must not leave a client disconnected for good
            self.log.failure("connecting to the server {server}", server=server)
            if self._over:
                raise CancelledError from None
            self._failed(None, "an internal error of this program; its log says more")
            delay = self._soon(self._pace.refused())
        else:
            reason = await session.ended
            self.since = self._clock.seconds()
            if moves == self._moves:
                delay = self._lost(session)
            else:
                self._drop_claim()
                delay = self._pace.left()
            if self._over:
                raise CancelledError
            self.trouble = printable(reason, 256)
            self.log.warn(
                "connection to the server {server} lost: {reason}; next try in {seconds:.1f} s",
                server=server, reason=printable(reason, 256), seconds=delay,
            )  # fmt: skip
        return delay

    def _soon(self, seconds: float) -> float:
        """Return the time until the next attempt: none if the settings have changed during the last one."""
        return 0.0 if self._again else seconds

    def _failed(self, failure: GotunnelError | None, trouble: str, reserve: str = "") -> None:
        self.failure, self.trouble, self.reserve = failure, trouble, reserve

    async def _connect(self) -> ClientSession:
        moves = self._moves
        greeted = await greet(self._clock, self.path, self._config, self._shared, self)
        if moves != self._moves:
            greeted.transport.abortConnection()
            raise Unreachable("the configuration now names another server, or another name for this client")
        try:
            return self._begin(greeted)
        except Exception:
            if self.session is not None:
                self._sessions.discard(self.session)
            self._drop_claim()
            greeted.transport.abortConnection()
            raise

    def _begin(self, greeted: Greeted) -> ClientSession:
        config = self._config
        assert greeted.established is not None
        session = ClientSession(
            self._clock, self._relay, self.path, self.published, self._shared.forwards, self._shared.nodes,
            greeted.established, config.pace, config.dial_timeout, config.idle_legs, self._changed, self.usage,
            self._shared.room,
        )  # fmt: skip
        self.session, self.reserve, self._again = session, "", False
        self.server_ip = getattr(greeted.transport.getPeer(), "host", "")
        self._sessions.add(session)
        server = greeted.established.challenge.server
        if server is not None:
            self._shared.claims.take(server, self)
        self.failure, self.trouble = None, ""
        self._pace.connected(self._clock.seconds())
        self._proved()
        self.log.info(
            "connected to the server {server} as {client}{how}",
            server=self.label, client=config.name,
            how="" if self.path.encrypted else " without TLS: anybody on the path can read and change everything",
        )  # fmt: skip
        hand_over(greeted.transport, session.control, b"")
        session.begin()
        self.noticed()
        if greeted.leftover:
            session.control.dataReceived(greeted.leftover)
        return session

    def _drop_claim(self) -> None:
        self.session = None
        if self._shared.claims.drop(self):
            self._shared.claim_dropped()

    def _lost(self, session: ClientSession) -> float:
        self._drop_claim()
        return self._pace.lost(self.since, session.server_stops_in, session.retry_after)

    def _retry(self) -> None:
        if self.session is not None:
            self.session.retry()

    async def _sleep(self, seconds: float) -> None:
        woken: Deferred[None] = Deferred(lambda _: None)
        call = self._clock.callLater(seconds, self._wake)
        self._woken = woken
        try:
            await woken
        finally:
            self._woken = None
            if call.active():
                call.cancel()

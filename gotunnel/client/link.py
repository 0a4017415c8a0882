"""The lasting tie of a client to one server: connects, keeps a session, and connects again for ever. What a session
does is not its business."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from gotunnel import __version__
from gotunnel.client.bringing import LegRoom
from gotunnel.client.changing import ChangingLink
from gotunnel.client.forwards import Forwards
from gotunnel.client.leaving import IN_FLIGHT, Leaving
from gotunnel.client.nodes import OwnNodes
from gotunnel.client.published import Published
from gotunnel.client.session import ClientSession
from gotunnel.config.model import ClientConfig
from gotunnel.core.backoff import Backoff
from gotunnel.core.claims import Claims
from gotunnel.core.usage import Usage
from gotunnel.errors import AuthRejected, GotunnelError, printable
from gotunnel.interfaces import IRelay
from gotunnel.logs import Logger
from gotunnel.net.dialer import ServerPath, Unreachable
from gotunnel.net.greeting import ControlGreeting, Greeted
from gotunnel.net.patience import Draining, Patience
from gotunnel.net.transports import hand_over
from gotunnel.wire.handshake import ClientHandshake
from gotunnel.wire.messages import Challenge

__all__ = ["Link", "SameServer", "Shared"]

CONNECT_TIMEOUT = 10.0
"""Seconds for the connect, and again for the handshake."""
LAST_WORDS = 3.0
"""Seconds, once visitors are cut, for resets to reach the server."""
SUCCESSOR = 30.0
"""Seconds, behind the time that a server has said it gives its visitors, within which its successor is expected."""
SOON = 2.0
"""Seconds at most between attempts while it is."""
AUTH_PAUSE = 5.0
"""Seconds at least between attempts when the server does not let us in: somebody must change something first."""

RESERVE = 60.0
"""Seconds after which an address in reserve is tried all the same: it may lead to another server by now."""

AUTH_HINTS = {
    "auth_failed": "the token or the client name is not the server's; compare `token` on both sides",
    "bad_server_mac": "the server does not hold our token, or somebody sits between it and us",
    "name_in_use": "another running client has this name; give each a name of its own",
}


KNOWN_CODES = (*AUTH_HINTS, "tls_required", "stale", "unsupported_version", "protocol_error", "internal", "limit")


class SameServer(GotunnelError):
    """An address leads to a server that this client has a session with by another one; the text names that."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What all links of a client have in common. `claims` says which link has the session with which server, and
    `claim_dropped()` is called when one has it no more; `usage` adds up what is done."""

    forwards: Forwards
    nodes: OwnNodes
    instance: bytes
    claims: Claims[bytes, Link]
    room: LegRoom
    claim_dropped: Callable[[], None]
    usage: Usage


class Link(ChangingLink):
    """One per server, or address of a server. Runs from `start` until it has been drained or retired."""

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
        """What that was, where the last attempt failed for it."""
        self.since = clock.seconds()
        """When that began."""
        self.next_try: float | None = None
        """When it will connect again, while it waits for that."""
        self.published = Published(config.mappings, path.address, self._retry)
        self.server_ip = ""
        """Where the server was reached last."""
        self.session: ClientSession | None = None
        self.reserve = ""
        """Which address has the session with this very server, while this one is kept in reserve."""
        self.retired: Callable[[], None] = lambda: None
        """Called when it was retired and nothing of it is left."""
        self.noticed: Callable[[], None] = lambda: None
        """Called when a session has begun or ended, an attempt has failed, or a visitor or a leg is gone."""
        self._config = config
        self._clock = clock
        self._relay = relay
        self.path = path
        self._shared = shared
        self._proved = proved
        self._backoff = self._ladder()
        self._leaving = Leaving(clock, self.published, self.cut)
        self._running: Deferred[None] | None = None
        self._sessions: set[ClientSession] = set()  # the current one, and older ones with legs left
        self._soon_until = 0.0  # the server has said that it stops: until then its successor may be there any moment
        self.wanted = True
        """Whether it is to connect again when it is lost."""
        self._patience = Patience(clock)
        self._draining = Draining(self._patience, self._drain)

    @property
    def label(self) -> str:
        """What logs call the server."""
        return self.path.label

    def start(self) -> None:
        """Begin to connect."""
        self._running = Deferred.fromCoroutine(self._run())
        self._running.addErrback(lambda failure: self.log.failure("the link to the server broke down", failure))
        self._running.addCallback(lambda _: self._look_for_the_end())

    def retire(self) -> None:
        """The name does not stand for this address any more: try no more to connect to it. A session that there is goes
        on: it works, and the answer of a name server is no proof that it does not."""
        self.wanted = False
        if self.session is None and self._running is not None:
            self._running.cancel()

    def leave(self) -> None:
        """The file names this server no more: give its ports up and disconnect. What streams goes on."""
        self.wanted = False
        if self.session is not None:
            self._give_up(self.session)
        elif self._running is not None:
            self._running.cancel()

    def recall(self) -> None:
        """It is wanted again, or still."""
        if not self.wanted:
            self.wanted = True
            if self._running is not None and self._running.called:
                self.start()

    def wake(self) -> None:
        """If it is kept in reserve, let it try now."""
        if self.reserve:
            self._wake()

    def target_changed(self, name: str, up: bool, reason: str) -> None:
        """A target of the client has gone, or is there again."""
        self.published.set_down(name, None if up else reason)
        if self.session is not None:
            self.session.tell(name, up, reason)

    @property
    def draining(self) -> bool:
        """Whether it is to connect no more."""
        return self._draining.begun

    @property
    def streams(self) -> int:
        """Visitors that are being served."""
        return sum(session.streams for session in self._sessions)

    def drain(self, seconds: float) -> Deferred[int]:
        """Ask the server to open nothing more, let visitors finish for up to `seconds`, reset those that are left, and
        disconnect for good.

        Fires with how many were reset, when every connection is gone; LAST_WORDS seconds after the cut at the latest,
        those excepted whose other end does not answer even a close: they are aborted a little later. Called again, it
        can only shorten the time.
        """
        return self._draining.begin(seconds)

    async def _drain(self, seconds: float) -> int:
        self._leaving.stop()
        session = self.session
        if session is not None:
            session.drain(seconds)
        elif self._running is not None:
            self._running.cancel()  # it connects, or sleeps
        if self.streams:
            self.log.info(
                "{count} visitors are being served; they have {seconds:g} s to finish",
                count=self.streams, seconds=seconds,
            )  # fmt: skip
        await self._patience.until(lambda: session is None or session.drained, IN_FLIGHT)
        await self._patience.until(lambda: all(session.finished for session in self._sessions))
        cut = self.streams
        if cut:
            self.log.warn("{count} visitors were cut: their time was over", count=cut)
        for session in tuple(self._sessions):
            session.reset_streams()
        if self.session is not None:
            self.session.close("stopping")
        if self._running is not None:
            await self._running
        await Patience(self._clock).until(lambda: not self._sessions, LAST_WORDS)
        for session in tuple(self._sessions):
            session.drop_legs()
        return cut

    def _ladder(self) -> Backoff:
        return Backoff(cap=5.0) if self._config.profile == "kubernetes" else Backoff()

    async def _run(self) -> None:
        try:
            while True:
                seconds = await self._attempt()
                self.next_try = self._clock.seconds() + seconds
                self.noticed()
                await self._sleep(seconds)
                self.next_try = None
        except CancelledError:
            return

    @property
    def broken(self) -> bool:
        """Whether it has ended and nobody asked it to: a bug of ours."""
        return self._running is not None and self._running.called and not self._over

    @property
    def connecting(self) -> bool:
        """Whether an attempt is under way."""
        return self.session is None and self.next_try is None and not self._draining.begun

    @property
    def sessions(self) -> tuple[ClientSession, ...]:
        """The current one, and older ones with legs left."""
        return tuple(self._sessions)

    async def _attempt(self) -> float:
        """Connect, stay as long as it lasts, and return the seconds to wait before the next time. Raises CancelledError
        when it is to be the last."""
        server, moves = self.label, self._moves
        try:
            session = await self._connect()
        except CancelledError:
            raise
        except SameServer as same:
            other = str(same)
            self.trouble = f"it is the server of {other}: kept in reserve"
            if self.reserve != other:
                self.reserve = other
                self.log.info(
                    "{server} leads to the same server as {other}: kept in reserve", server=server, other=other
                )
            return RESERVE
        except AuthRejected as refused:
            delay = self._backoff.slow(AUTH_PAUSE, refused.retry_after)
            self.failure, self.trouble = refused, f"{refused}{_hint(refused)}"
            self.usage.refused[_code(refused)] += 1
            self.log.error(
                "the server {server} does not let us in: {reason}{hint}; next try in {seconds:.1f} s",
                server=server, reason=str(refused), hint=_hint(refused), seconds=delay,
            )  # fmt: skip
        except GotunnelError as failed:
            if self._over:  # Twisted tells a cancelled look-up of a name as one that failed
                raise CancelledError from None
            delay = self._not_reached()
            self.failure, self.trouble = failed, printable(failed, 256)
            self.log.warn(
                "not connected to the server {server}: {reason}; next try in {seconds:.1f} s",
                server=server, reason=printable(failed, 256), seconds=delay,
            )  # fmt: skip
        except Exception:  # noqa: BLE001 - a bug of ours must not leave a client disconnected for good
            self.log.failure("connecting to the server {server}", server=server)
            self.trouble = "a fault of this program; its log says more"
            delay = self._backoff.slow(AUTH_PAUSE)
        else:
            reason = await session.ended
            delay = self._lost(session) if moves == self._moves else self._left(session)
            if self._over:
                raise CancelledError
            self.trouble = printable(reason, 256)
            self.log.warn(
                "connection to the server {server} lost: {reason}; next try in {seconds:.1f} s",
                server=server, reason=printable(reason, 256), seconds=delay,
            )  # fmt: skip
        return delay

    async def _connect(self) -> ClientSession:
        config, moves = self._config, self._moves
        handshake = ClientHandshake(
            config.name, config.token.get_secret_value(), self._shared.instance, f"gotunnel/{__version__}"
        )
        greeted = await self.path.greet(
            ControlGreeting(self._clock, CONNECT_TIMEOUT, handshake, self._judge), CONNECT_TIMEOUT
        )
        if moves != self._moves:
            greeted.transport.abortConnection()
            raise Unreachable("the configuration names another server now, or this client otherwise")
        try:
            return self._begin(greeted)
        except Exception:
            self.session = None
            greeted.transport.abortConnection()
            raise

    @property
    def _over(self) -> bool:
        return self._draining.begun or not self.wanted

    def _judge(self, challenge: Challenge) -> None:
        if challenge.server is not None:
            other = self._shared.claims.holder(challenge.server)
            if other is not None and other is not self:
                raise SameServer(other.label)

    def _begin(self, greeted: Greeted) -> ClientSession:
        config = self._config
        assert greeted.established is not None
        session = ClientSession(
            self._clock, self._relay, self.path, self.published, self._shared.forwards, self._shared.nodes,
            greeted.established, config.pace, config.dial_timeout, self._changed, self.usage, self._shared.room,
        )  # fmt: skip
        self.session, self.reserve = session, ""
        self.server_ip = getattr(greeted.transport.getPeer(), "host", "")
        self._sessions.add(session)
        server = greeted.established.challenge.server
        if server is not None:
            self._shared.claims.take(server, self)
        self.failure, self.trouble = None, ""
        self._backoff.connected(self._clock.seconds())
        self._proved()
        self.log.info(
            "connected to the server {server} as {client}{how}",
            server=self.label, client=config.name,
            how="" if self.path.encrypted else " without TLS: whoever is on the path can read and change everything",
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

    def _left(self, session: ClientSession) -> float:
        """It was left for another one, which is to be there at once."""
        self._drop_claim()
        self._backoff = self._ladder()
        return self._backoff.soon(0.0)

    def _lost(self, session: ClientSession) -> float:
        now = self.since = self._clock.seconds()
        self._drop_claim()
        self._backoff.lost(now)
        if session.server_stops_in is not None:
            self._soon_until = now + session.server_stops_in + SUCCESSOR
        return self._backoff.failed(session.retry_after)

    def _not_reached(self) -> float:
        if self._clock.seconds() < self._soon_until:
            return self._backoff.soon(SOON)
        return self._backoff.failed()

    def _changed(self) -> None:
        """A stream, a leg or a session has ended."""
        for session in self._sessions:
            if not session.connected:
                self._sessions = {session for session in self._sessions if not session.gone}
                break
        self._patience.look()
        self.noticed()
        if not self.wanted:
            self._look_for_the_end()

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

    def _look_for_the_end(self) -> None:
        if not self.wanted and not self._sessions and self._running is not None and self._running.called:
            self.retired()


def _code(refused: AuthRejected) -> str:
    """The code of a refusal as a key: a server that makes up others must not make us keep them all."""
    return refused.code if refused.code in KNOWN_CODES else "other"


def _hint(refused: AuthRejected) -> str:
    if "certificate" in refused.reason:
        return ""  # the reason says it all
    hint = AUTH_HINTS.get(refused.code)
    return f" ({hint})" if hint else ""

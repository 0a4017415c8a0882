"""The current sessions of a server: how they begin, replace older ones, and end.

It also disconnects clients that may no longer stay because identities, keys or certificates have changed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from gotunnel.config.identitychange import Change, ClientRefused, used
from gotunnel.core.identities import Identities
from gotunnel.core.loglimit import LogLimit
from gotunnel.core.sessions import Decision, SessionTable
from gotunnel.errors import ConfigError, Sentence, printable
from gotunnel.logs import Logger
from gotunnel.net.clientca import problem_now
from gotunnel.net.tls import ServerTls
from gotunnel.server.credentials import Credentials
from gotunnel.server.guests import Guest
from gotunnel.server.origins import Origins
from gotunnel.server.standing import Standing

if TYPE_CHECKING:
    from gotunnel.server.forwardnews import ForwardNews
    from gotunnel.server.peer import Peer
    from gotunnel.server.session import ServerSession

__all__ = ["Present"]


async def _no_clients_file(change: Change) -> None:
    raise ClientRefused("this server has no clients file")


_BACK = ", back within its grace period"


class Present(Standing):
    """A base class of the hub, see the module."""

    log = Logger()
    forward_news: ForwardNews

    def __init__(
        self,
        clock: Any,
        wall_clock: Callable[[], float],
        credentials: Credentials,
        tls: ServerTls | None,
        most_mappings: int,
    ) -> None:
        super().__init__(clock, wall_clock, credentials)
        self.tls = tls
        self.change_clients: Callable[[Change], Awaitable[None]] = _no_clients_file
        """Changes the clients file and applies the change. Raises ConfigError or ClientRefused."""
        self.peers: dict[str, Peer] = {}
        self.sessions: SessionTable[ServerSession] = SessionTable()
        self.origins = Origins()
        self._live: set[ServerSession] = set()
        self._present: set[ServerSession] = set()  # with a control connection or a leg
        self._client_lines = LogLimit(rate=1.0, burst=128)
        self._client_news = LogLimit(rate=1.0, burst=max(128, 4 * most_mappings))

    def begin(self, session: ServerSession, name: str, instance: bytes, number: int, decision: Decision) -> None:
        """Register an established session; it replaces an older one of the same name, if there is one."""
        peer = session.peer
        guest = self.guests.get(name, session.proven)
        if guest is None:
            self.guests.drop(name)  # it logged in with a key of the server's own configuration
        else:
            session.came_by = guest.by.plugin
        old = self.sessions.begin(session.sid, name, instance, number, session)
        self._live.add(session)
        self.origins.add(session)
        self._present.add(session)
        self.tell_of(
            name, "connected", "client {client} connected from {address}{how}",
            address=session.address,
            how="" if old is None else _BACK if old.lost else ", replacing an older session",
        )  # fmt: skip
        if guest is None and self.identities.authenticated(name):
            self.log.warn(
                "several clients use one token (now {client} too): whoever holds it can pose as any of them, and "
                "as the server",
                client=name,
            )
        if old is not None and not old.lost:
            old.session.replaced()
        peer.begin(session)
        self.forward_news.began(session)
        if self.identities.supersedes(name, session.proven):
            Deferred.fromCoroutine(self._end_older_keys(name, session.proven)).addErrback(
                lambda failure: self.log.failure("ending older keys of client {client} failed", failure, client=name)
            )

    async def _end_older_keys(self, name: str, key: bytes) -> None:
        """End the older keys of a client that has used its newest one.

        Visitors on legs of its older sessions continue: it is the same client with another key.
        """
        for session in self._present:
            if session.peer.name == name and session.over:
                session.proven = key
        try:
            await self.change_clients(used(name, key))
        except (ClientRefused, ConfigError) as failed:
            self.log.warn(
                "the older key of client {client} stays valid: {problem}", client=name, problem=printable(failed, 600)
            )

    def session_lost(self, session: ServerSession) -> None:
        """Record that a session has lost its control connection."""
        self.sessions.lost(session.sid)
        self._live.discard(session)
        self.origins.discard(session)

    def session_gone(self, session: ServerSession) -> None:
        """Forget a session without a control connection or leg."""
        self._present.discard(session)
        self._see_off(session.peer.name)
        self.changed()

    def _see_off(self, name: str) -> None:
        """Forget the guest of that name if it has no peer and no session left."""
        if name not in self.peers and not any(each.peer.name == name for each in self._present):
            self.guests.drop(name)

    def session_draining(self, session: ServerSession) -> None:
        """A client is about to stop: its successor need not check whether it is alive."""
        self.sessions.draining(session.sid)

    def spare(self) -> None:
        """Descriptors have become scarce: close idle legs."""
        for session in tuple(self._live):
            session.feed()

    @property
    def connected(self) -> tuple[ServerSession, ...]:
        """The sessions with a control connection."""
        return tuple(self._live)

    @property
    def left(self) -> tuple[ServerSession, ...]:
        """The sessions with a control connection or a leg."""
        return tuple(self._present)

    # Who may stay.

    def _keys_changed(self) -> None:
        """Apply a change of an additional authenticator's answers."""
        self.guests.review(self._judged_anew)
        self.identities_changed(self.identities)

    def let_in(self, name: str, guest: Guest) -> None:
        """Record a guest whose session is about to begin. Its older sessions continue with the new key."""
        for session in self._present:
            if session.peer.name == name and self.guests.get(name, session.proven) is not None:
                session.proven = guest.key
        self.guests.add(name, guest)
        self._plan_expiry()

    def identities_changed(self, new: Identities) -> None:
        """Apply a new table of identities, also to connected clients.

        Clients that may no longer stay are disconnected, and mappings that are no longer allowed are closed. Everything
        else continues.
        """
        for name in sorted(new.names_with_common_token - self.identities.names_with_common_token):
            self.log.warn(
                "the token of client {client} is the shared one: whoever holds it can pose as this client, and as "
                "the server to it; give it another with gotunnel client rotate",
                client=name,
            )  # fmt: skip
        self.identities = new
        self.keyring.use(new)
        self._plan_expiry()
        for session in tuple(self._present):
            reason = self.shut_out(session.peer.name, session.proven)
            if reason is not None:
                session.expel(reason)
        for peer in tuple(self.peers.values()):
            peer.announced.refresh()
        for legs in tuple(self.streaming):  # including those whose peer has been forgotten
            legs.reset_denied()
        for peer in tuple(self.peers.values()):
            peer.rights_changed()
        self.forward_news.rights_changed()

    def expire(self) -> None:
        """Disconnect clients whose identity has expired or is no longer valid. Call this about every half second."""
        if self.keyring.changed():
            self._keys_changed()
        if self._next_expiry is not None and self.wall_clock() >= self._next_expiry:
            self.identities_changed(self.identities)

    def use_tls(self, tls: ServerTls) -> None:
        """Use another certificate for new connections. Existing ones keep theirs.

        If the authorities for client certificates have changed, clients without a certificate of these are
        disconnected.
        """
        before, self.tls = self.tls, tls
        if tls.authorities is None or (before is not None and before.authorities == tls.authorities):
            return
        for session in tuple(self._present):
            problem = problem_now(session.shown, tls.authorities)
            if problem is not None:
                session.expel(Sentence("its certificate {problem}", problem=problem), certificate=True)

    # What is said of them.

    def say_of(self, client: str, kind: str, words: str, **values: Any) -> None:
        """Log a warning about a client, rate-limited per client and `kind`. `words` may use {client}."""
        more = self._client_lines.more((client, kind), self.clock.seconds())
        if more is not None:
            self.log.warn(words + "{more}", client=client, more=more, **values)

    def tell_of(self, client: str, kind: str, words: str, **values: Any) -> None:
        """Log an event of a client, rate-limited by what its mappings can account for. `words` may use {client}."""
        more = self._client_news.more((client, kind), self.clock.seconds())
        if more is not None:
            self.log.info(words + "{more}", client=client, more=more, **values)

"""Asks a server's access policy, with a time limit. Anything but a clear yes means no."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from gotunnel.config.plugged import AccessConfig
from gotunnel.core.logins import Dial, Entry, Publication
from gotunnel.core.loglimit import LogLimit
from gotunnel.core.outcome import Outcome
from gotunnel.errors import DialFailed, GotunnelError, PortUnavailable, Sentence, printable
from gotunnel.interfaces import ILocal
from gotunnel.logs import Logger
from gotunnel.net.answers import answer
from gotunnel.net.plugged import made
from gotunnel.net.quiet import nothing
from gotunnel.net.reach import NOT_ALLOWED
from gotunnel.net.visitor import Visitor
from gotunnel.server.entering import Entering

if TYPE_CHECKING:
    from gotunnel.server.peer import Peer

__all__ = ["Access"]

PATIENCE = 5.0
"""Seconds that a policy has for one answer."""
LONGEST_REASON = 200
NO_ANSWER = "the server's access policy has no answer"

Reach = ILocal | Deferred[ILocal]


class Access:
    """The access policy of one server. Visitors wait in `entering` for its answers.

    `lines` limits the log lines that remote peers can cause. Raises GotunnelError if the plugin cannot be made.
    """

    log = Logger()

    def __init__(self, reactor: Any, config: AccessConfig, lines: LogLimit, entering: Entering) -> None:
        self.config = config
        self._reactor = reactor
        self._name = config.plugin
        self._lines = lines
        self._policy = made("access", config, reactor)
        self._entering = entering

    async def check_port(self, client: str, mapping: str, bind: str, port: int, protocol: str = "tcp") -> None:
        """Check that the client may listen there. Raises PortUnavailable (acl_denied) if not."""
        refusal = await self._ask("publish", Publication(client, mapping, bind, port, protocol))
        if refusal is not None:
            # If the policy does not answer, other ports do not help, and asking about 64 would take 64 times as long.
            raise PortUnavailable("acl_denied", Sentence(
                "port {port}: {refusal}", port=port, refusal=refusal
            ), final=refusal == NO_ANSWER)

    def reach(self, client: str, target: str, visitor: str, dial: Callable[[], Reach]) -> Deferred[ILocal]:
        """Dial if the policy agrees; otherwise the Deferred fails with DialFailed (not_allowed). Cancellable."""
        return Deferred.fromCoroutine(self._reach(Dial(client, target, visitor), dial))

    async def _reach(self, asked: Dial, dial: Callable[[], Reach]) -> ILocal:
        refusal = await self._ask("dial", asked)
        if refusal is not None:
            raise DialFailed(NOT_ALLOWED, Sentence(
                "{target}: {refusal}", target=printable(asked.target, 200), refusal=refusal
            ))
        reached = dial()
        return await reached if isinstance(reached, Deferred) else reached

    def enter(self, peer: Peer, visitor: Visitor, kept_out: Callable[[Visitor, Outcome], None]) -> None:
        """Admit a visitor to `peer` if the policy agrees, synchronously if it answers synchronously.

        Otherwise the visitor is reset and `kept_out` is called. The same happens if it is given up while the answer is
        pending, see `Entering`.
        """
        asking = Deferred.fromCoroutine(self._ask("enter", Entry(peer.name, visitor.mapping, visitor.local.host)))
        if not asking.called:
            self._entering.add(asking, peer, visitor)
        asking.addErrback(lambda failure: failure.trap(CancelledError) and NO_ANSWER)
        asking.addCallback(self._answered, asking, peer, visitor, kept_out)
        asking.addErrback(lambda failure: self.log.failure("asking the access policy about a visitor failed", failure))

    def _answered(
        self, refusal: object, asking: Deferred[Any], peer: Peer, visitor: Visitor,
        kept_out: Callable[[Visitor, Outcome], None],
    ) -> None:  # fmt: skip
        outcome = self._entering.answered(asking)
        visitor.local.on_gone = nothing
        if refusal is None and outcome is None:
            peer.entered(visitor)
            return
        if outcome is None:
            outcome = Outcome.DENIED
            more = self._more("visitors")
            if more is not None:
                self.log.info(
                    "visitor {visitor} of {mapping} of client {client} was reset: {reason} ({conn}){more}",
                    visitor=visitor.local.address, mapping=visitor.mapping, client=peer.name, reason=str(refusal),
                    conn=visitor.conn, more=more,
                )  # fmt: skip
        visitor.local.abort()
        kept_out(visitor, outcome)

    async def _ask(self, method: str, question: object) -> str | None:
        """Return None for yes, otherwise the reason for no."""
        try:
            said = await answer(self._reactor, PATIENCE, getattr(self._policy, method), question)
            if said is None:
                return None
            if isinstance(said, str):
                return printable(said, LONGEST_REASON) or "the access policy says no"
            raise TypeError(f"it answered with a {type(said).__name__}")
        except CancelledError:
            raise
        except GotunnelError as failed:
            more = self._more(method)
            if more is not None:
                self.log.error(
                    "the access policy {policy} has no answer to {method}, which counts as no: {reason}{more}",
                    policy=self._name, method=method, reason=printable(failed, LONGEST_REASON), more=more,
                )  # fmt: skip
        except (Exception, SystemExit) as broken:  # noqa: BLE001 - third-party plugin: whatever it raises means no
            more = self._more(method)
            if more is not None:
                self.log.failure(
                    "the access policy {policy} has no answer to {method}, which counts as no: {reason}{more}",
                    Failure(),
                    policy=self._name, method=method, reason=printable(broken, LONGEST_REASON), more=more,
                )  # fmt: skip
        return NO_ANSWER

    def _more(self, kind: str) -> str | None:
        return self._lines.more(("access", kind), self._reactor.seconds())

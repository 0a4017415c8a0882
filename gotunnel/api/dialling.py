"""Dials through a tunnel: connects this process to a target behind the server or behind another client, with no port
here. The dial is a visitor at the client, like one of a forward."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import NoProtocol
from twisted.internet.interfaces import IProtocol, IProtocolFactory
from twisted.python.failure import Failure

from gotunnel.api.addresses import TunnelAddress, twisted_address
from gotunnel.api.inside import DialledTransport, joined
from gotunnel.api.session import Session
from gotunnel.client.forwardvisitors import ForwardVisitor
from gotunnel.config.model import ForwardConfig
from gotunnel.core.outcome import WORDS, Outcome
from gotunnel.core.stream import StreamEnd
from gotunnel.errors import DialFailed, Sentence
from gotunnel.interfaces import ILocal

__all__ = ["dial"]

SOURCE = "in-process"
"""The source that the server sees."""


@dataclass(slots=True, eq=False)
class _Dialled(ForwardVisitor):
    """`call` is notified when the target has answered, and when the visitor has ended."""

    call: _Call

    def answered(self) -> None:
        """See Visitor."""
        ForwardVisitor.answered(self)
        self.call.answered()

    def over(self, outcome: Outcome, end: StreamEnd | None) -> None:
        """See Visitor."""
        ForwardVisitor.over(self, outcome, end)
        self.call.over(outcome, end)


class _Call:
    """One dial, from a running session to the end of the connection. It holds the session until both the leg and the
    protocol have ended, because one may still have bytes for the other."""

    def __init__(self, session: Session, factory: IProtocolFactory, where: ForwardConfig, keep: float) -> None:
        self._session = session
        self._factory = factory
        self._where = where
        self._keep = keep
        self._near: Any = None
        self._far: socket.socket | None = None
        self._held = 1
        self._given_up = False
        self._result: Deferred[IProtocol] = Deferred(lambda _: self._give_up())

    def begin(self) -> Deferred[IProtocol]:
        """Dial. Fires with the protocol when the target has answered. Raises DialFailed."""
        forwards, where = self._session.links.forwards, self._where
        near, self._far = joined(self._session.relay, SOURCE, "")
        self._near = near
        plain = not where.encrypt and forwards.outside
        now = self._session.reactor.seconds()
        forwards.let_in(
            _Dialled(forwards.next_conn(), str(where.dial), plain, near, now, where.dial, forwards.openers, self)
        )
        return self._result

    def answered(self) -> None:
        if self._far is None or self._result.called:
            return
        far, self._far = self._far, None
        peer, transport = twisted_address(self._where.dial), None
        try:
            protocol = self._factory.buildProtocol(peer)
            if protocol is None:
                raise NoProtocol
            self._held += 1
            transport = DialledTransport(
                far, protocol, self._near, peer, TunnelAddress(SOURCE), self._session.reactor, self._let_go
            )
            transport.begin()
        except Exception:  # noqa: BLE001 - whatever the caller's code raises
            if transport is None:
                far.close()
                self._reset(self._near)
            self._result.errback(Failure())
            return
        self._result.callback(protocol)

    def over(self, outcome: Outcome, end: StreamEnd | None) -> None:
        if self._far is not None:
            self._far.close()
            self._far = None
        self._let_go()
        if not self._result.called and not self._given_up:
            self._result.errback(Failure(_failed(self._where, outcome, end)))

    def _give_up(self) -> None:
        self._given_up = True  # the end is then not reported
        if self._near is not None:
            self._reset(self._near)

    def _reset(self, near: ILocal) -> None:
        if not near.gone:
            near.lost()

    def _let_go(self) -> None:
        self._held -= 1
        if not self._held:
            self._factory.doStop()
            self._session.release(self._keep)


async def dial(
    session: Session, factory: IProtocolFactory, where: ForwardConfig, seconds: float | None, keep: float
) -> IProtocol:
    """Connect, and return the protocol. `seconds` limits the whole call (None: no limit); `keep` is how many seconds
    the session outlives its last use. Raises DialFailed, AuthRejected or NotConnected."""
    session.hold()
    began = session.reactor.seconds()
    try:
        await session.run()
        await session.connection(seconds)
        call = _Call(session, factory, where, keep)
        factory.doStart()
        try:
            answer = call.begin()
        except Exception:
            factory.doStop()
            raise
    except Exception:
        await session.release(0.0 if not session.connected else keep)
        raise
    if seconds is not None:
        left = max(0.0, seconds - (session.reactor.seconds() - began))
        answer.addTimeout(left, session.reactor, lambda _value, _seconds: _late(where))
    return await answer


def _late(where: ForwardConfig) -> Any:
    raise DialFailed("timeout", Sentence("{dial}: no answer in time", dial=where.dial))


def _failed(where: ForwardConfig, outcome: Outcome, end: StreamEnd | None) -> DialFailed:
    code = (end.code if end is not None else None) or WORDS[outcome]
    return DialFailed(code, f"{where.dial}: {_REASONS.get(code, code)}")


_REASONS = {
    "refused": "connection refused",
    "timeout": "no answer in time",
    "dial_timeout": "no answer in time",
    "unreachable": "no route to it",
    "unknown_host": "the name does not resolve",
    "not_allowed": "the server does not allow it: name it in allow_dial of this client there",
    "unknown_mapping": "that client is not connected, has no such mapping, or its `clients` leave this one out",
    "limit": "the server's limits are reached",
    "denied": "the server's version does not support forwards; upgrade it",
    "no_leg": "no way to the server was free in time",
    "no_fds": "out of file descriptors",
}

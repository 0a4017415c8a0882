"""A target of datagrams, dialled: a socket of its own for each flow, so that an answer belongs to one visitor and the
target's system can say that nobody listens. Datagrams know no connection: that one is dialled says nothing more. So who
listens at which address of a name is found out with the flow's first datagrams, which are kept as long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from gotunnel.address import HostPort, is_ip
from gotunnel.core.dropped import Drop
from gotunnel.core.stream import PORT_UNREACHABLE
from gotunnel.errors import DialFailed, Sentence
from gotunnel.interfaces import ILocal
from gotunnel.net.flow import MOST_WAITING, MOST_WAITING_BYTES
from gotunnel.net.lastanswer import LastAnswers
from gotunnel.net.resolve import resolve
from gotunnel.net.udp import REFUSALS, TargetSocket, can_carry

__all__ = ["AGAIN", "GRACE", "PATIENCE", "dial_flow"]

GRACE = 5.0
"""Seconds that this end waits beyond the idle time: it is for the opener to say when a flow is quiet, and this is for
one who never does."""
PATIENCE = 1.0
"""Seconds that the refusal of a flow's first datagram may take for another address to be tried: it takes as long as
there and back."""
AGAIN = 10.0
"""Seconds that an address may say nothing to which a flow has come because another one had refused. Perhaps there is
nobody, and no system to say so, while the service has come back where it was: all are tried anew then."""


def dial_flow(
    reactor: Any, relay: Any, target: HostPort, timeout: float, idle: float, dropped: Callable[[Drop], None],
    answers: LastAnswers,
) -> ILocal | Deferred[ILocal]:  # fmt: skip
    """Do for a target of datagrams what `IRelay.dial` does for others. Raises DialFailed, too."""
    if not can_carry(relay, reactor):
        raise DialFailed("failed", Sentence("{target}: this relay carries no datagrams", target=target))
    if not relay.gate.has_room():
        relay.gate.say()
        raise DialFailed("no_fds", Sentence("{target}: out of file descriptors", target=target))

    def connect(hosts: Sequence[str]) -> ILocal:
        flow: ILocal = _Target(reactor, relay, tuple(hosts), target, idle, dropped, answers).flow
        return flow

    if is_ip(target.host):
        return connect((target.host,))
    return resolve(reactor, target.host, target.port, timeout).addCallback(connect)


class _Target:
    """The outlet of one flow. Where its target is a name, the addresses of that are tried one after the other, until
    one does not refuse. Raises DialFailed where there is no way to any."""

    flow: Any

    def __init__(
        self, reactor: Any, relay: Any, hosts: tuple[str, ...], target: HostPort, idle: float,
        dropped: Callable[[Drop], None], answers: LastAnswers,
    ) -> None:  # fmt: skip
        self._reactor = reactor
        self._target = target
        self._hosts = hosts
        self._dropped = dropped
        self._answers = answers
        self._unheard = len(hosts) > 1
        """Whether it is yet to be seen who answers."""
        self._silent_since: float | None = None
        """When it came to this address, if there is a better one for all we know."""
        self._others: list[str] = []
        """What is left to try when this one refuses; none when it is settled."""
        self._kept: list[bytes] = []
        """What this one was sent, and may refuse yet."""
        self._settling: IDelayedCall | None = None
        self._begin()
        here = self._socket.here
        self.flow = relay.flow(self, idle + GRACE, str(target), self._socket.host, here, dropped, True)

    def send(self, datagram: bytes) -> None:
        """See Outlet."""
        if self._silent_since is not None and self._reactor.seconds() - self._silent_since >= AGAIN:
            self._begin_again()
        while True:
            try:
                self._socket.send(datagram)
            except REFUSALS:  # what was sent before it is; this one was not sent
                if not self._moved_on():
                    self.flow.why = PORT_UNREACHABLE
                    raise
            except OSError:
                self._dropped(Drop.UNSENT)
                return
            else:
                break
        if self._others:
            self._keep(datagram)

    def close(self) -> None:
        """See Outlet."""
        self._settle()
        sock = self._socket
        del self._socket  # it calls this outlet, and each would keep the other until the garbage is collected
        sock.close()

    def _arrived(self, datagram: bytes) -> None:
        if self._unheard:
            self._unheard = False
            self._settle()
            if self._silent_since is not None:
                self._silent_since = None
                self._answers.answered(self._target, self._socket.host)
        self.flow.arrived(datagram)

    def _refused(self) -> None:
        if not self._moved_on():
            self.flow.end(PORT_UNREACHABLE)

    # Which address it is.

    def _begin(self) -> None:
        """Try one after the other. Raises DialFailed."""
        self._others = self._answers.ordered(self._target, self._hosts)
        self._silent_since = None if self._others[0] == self._hosts[0] else self._reactor.seconds()
        self._open()

    def _begin_again(self) -> None:
        """The same later on. Raises ConnectionRefusedError where that leads nowhere."""
        self._settle()
        self._answers.forget(self._target, self._socket.host)
        self._socket.close()
        try:
            self._begin()
        except DialFailed:
            self.flow.why = PORT_UNREACHABLE
            raise ConnectionRefusedError from None
        self.flow.moved(self._socket.host, self._socket.here)

    def _open(self) -> None:
        """Connect to the next one to which there is a way. Raises DialFailed."""
        while True:
            try:
                host = self._others.pop(0)
                self._socket = TargetSocket(self._reactor, host, self._target.port, self._arrived, self._refused)
                return
            except DialFailed:
                if not self._others:  # there is no way to IPv6 on many machines
                    raise

    def _moved_on(self) -> bool:
        """Nobody listens here: send what was refused to the next address. False where none is left to try."""
        self._answers.forget(self._target, self._socket.host)
        refused = self._kept
        while self._others:
            self._socket.close()
            try:
                self._open()
            except DialFailed:
                break
            self._silent_since = self._reactor.seconds()
            self.flow.moved(self._socket.host, self._socket.here)
            if self._passed_on(refused):
                return True
        return False

    def _passed_on(self, refused: list[bytes]) -> bool:
        self._settle_later()
        for datagram in refused:
            try:
                self._socket.send(datagram)
            except REFUSALS:
                return False
            except OSError:
                self._dropped(Drop.UNSENT)
        return True

    def _keep(self, datagram: bytes) -> None:
        if self._settling is None:
            self._settling = self._reactor.callLater(PATIENCE, self._settle)
        room = MOST_WAITING_BYTES - sum(map(len, self._kept))
        if len(self._kept) < MOST_WAITING and len(datagram) <= room:
            self._kept.append(datagram)

    def _settle_later(self) -> None:
        """Wait for a refusal anew, as long as there is somewhere else to go."""
        if not self._others:
            self._settle()
        elif self._settling is not None:
            self._settling.reset(PATIENCE)

    def _settle(self) -> None:
        """It stays with this address."""
        self._others, self._kept = [], []
        if self._settling is not None:
            if self._settling.active():
                self._settling.cancel()
            self._settling = None

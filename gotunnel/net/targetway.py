"""The way of one flow to its target. If the target is a name, its addresses are tried in turn until one does not
refuse; datagrams that one has refused go to the next. If a refusal has led the flow to an address that stays silent,
the others are tried again now and then; if they refuse again, the flow returns to the same socket."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall

from gotunnel.address import HostPort
from gotunnel.core.dropped import Drop
from gotunnel.errors import DialFailed
from gotunnel.net.lastanswer import LastAnswers
from gotunnel.net.targetkept import Kept, Standby
from gotunnel.net.targetsocket import REFUSALS, TargetSocket, no_way

__all__ = ["AGAIN", "PATIENCE", "TargetWay", "Traveller"]

PATIENCE = 1.0
"""Seconds to wait for a refusal of a flow's first datagrams, so that another address can be tried. A refusal takes one
round trip."""
AGAIN = 10.0
"""Seconds for which an address that the flow reached after a refusal may stay silent. Perhaps nobody listens there and
no system reports it, while the service is back at its former address: so the others are tried again."""


class Traveller(Protocol):
    """The flow that uses a way."""

    def arrived(self, datagram: bytes) -> None:
        """The target has sent a datagram."""

    def refused(self) -> None:
        """Nobody listens at any of the addresses."""

    def moved(self, host: str, here: str) -> None:
        """The way now leads to this address, from another socket."""

    def dropped(self, drop: Drop) -> None:
        """A datagram that was sent is not carried."""


class TargetWay:
    """The way of one flow; see the module. Raises DialFailed if no address can be reached."""

    def __init__(
        self, reactor: Any, target: HostPort, hosts: Sequence[str], answers: LastAnswers, traveller: Traveller
    ) -> None:
        self._reactor = reactor
        self._target = target
        self._hosts = tuple(hosts)
        self._answers = answers
        self._traveller = traveller
        self._unheard = len(hosts) > 1
        """Whether no address has answered yet, out of several."""
        self._standby: Standby | None = None
        self._kept = Kept()
        """What was sent to the current address and may still be refused."""
        self._settling: IDelayedCall | None = None
        self._others = answers.ordered(target, self._hosts)
        """The addresses still to try if the current one refuses; empty once settled."""
        self._silent_since = self._since(self._others[0])
        """Since when the current address has been in use without an answer, if another is preferable; else None."""
        self._socket = self._open()

    @property
    def host(self) -> str:
        """The address it leads to."""
        return self._socket.host

    @property
    def here(self) -> str:
        """The local address and port, as text."""
        return self._socket.here

    def send(self, datagram: bytes) -> None:
        """Send a datagram. Raises one of REFUSALS if nobody listens at any address, or OSError if the system does not
        take the datagram."""
        if self._silent_since is not None and self._reactor.seconds() - self._silent_since >= AGAIN:
            self._try_others()
        once_more = True
        while True:
            try:
                self._socket.send(datagram)
            except OSError as failed:
                refused = isinstance(failed, REFUSALS)  # an earlier datagram was; this one was not sent
                if (refused or (self._trying and no_way(failed))) and self._moved_on():
                    continue
                if refused or not once_more:
                    raise
                once_more = False  # the error may concern an earlier datagram
            else:
                break
        if self._trying:
            self._keep(datagram)

    def renew(self, hosts: Sequence[str]) -> bool:
        """Change the way if it no longer works. `hosts` are the target's current addresses; the system chooses the
        source address. Returns whether the way has changed."""
        if self._settling is not None:
            return False
        again = self.host in hosts
        try:
            if not again:
                self._leave_standby()
                self._unheard = len(hosts) > 1
                self._hosts = tuple(hosts)
                self._others = self._answers.ordered(self._target, self._hosts)
                self._silent_since = self._since(self._others[0])
            found = self._socket_to(self.host) if again else self._open()
        except DialFailed:
            self._settle()
            return False
        if again and found.source() == self._socket.source():
            found.close()
            return False
        self._use(found)
        return True

    def close(self) -> None:
        """Close the sockets: the flow is over."""
        self._settle()
        sock = self._socket
        del self._socket, self._traveller  # break the reference cycles, which would wait for the garbage collection
        sock.close()

    # Called by the sockets.

    def _arrived(self, datagram: bytes) -> None:
        if self._unheard:
            self._answered()
        self._traveller.arrived(datagram)

    def _refused(self) -> None:
        if not self._moved_on():
            self._traveller.refused()

    def _unreached(self) -> None:
        if self._trying:
            self._moved_on()

    def _refused_late(self) -> None:
        self._leave_standby()
        if not self._others:
            self._settle()

    def heard_of_refusal(self, host: str) -> None:
        """See Hopeful."""
        if self._trying and self.host == host:
            self._refused()

    # Choice of the address.

    @property
    def _trying(self) -> bool:
        """Whether there is another address to go to if this one refuses."""
        return bool(self._others) or self._standby is not None

    def _since(self, host: str) -> float | None:
        return self._reactor.seconds() if self._unheard and host != self._hosts[0] else None

    def _socket_to(self, host: str) -> TargetSocket:
        return TargetSocket(self._reactor, host, self._target.port, self._arrived, self._refused, self._unreached)

    def _open(self) -> TargetSocket:
        """Return a socket to the next address that can be reached. Raises DialFailed."""
        while True:
            try:
                return self._socket_to(self._others.pop(0))
            except DialFailed:
                if not self._others:  # go on with the others: many machines have no route for IPv6
                    raise

    def _try_others(self) -> None:
        """Try the other addresses: somebody may listen there by now."""
        self._settle()
        before = self._socket
        self._others = [each for each in self._answers.ordered(self._target, self._hosts) if each != before.host]
        self._silent_since = self._since(self._others[0])
        try:
            self._socket = self._open()
        except DialFailed:
            self._silent_since = self._reactor.seconds()
            return
        self._standby = Standby(before, self._traveller.arrived, self._refused_late)
        self._traveller.moved(self.host, self.here)

    def _moved_on(self) -> bool:
        """Nobody listens here: send what was refused to the next address. Returns False if none is left."""
        self._answers.hopes_no_more(self._target, self.host, self)
        self._answers.refused(self._target, self.host)
        for _ in range(self._kept.too_many):
            self._traveller.dropped(Drop.WAITING)
        self._kept.too_many = 0
        while self._trying:
            try:
                found = self._open() if self._others else self._back()
            except DialFailed:
                continue
            self._use(found)
            self._silent_since = self._since(found.host)
            if self._passed_on(self._kept.datagrams):
                return True
        return False

    def _back(self) -> TargetSocket:
        """Return the standby socket, which has been silent, at least until the others were tried."""
        standby, self._standby = self._standby, None
        assert standby is not None
        if standby.heard:
            self._unheard = False
            self._answers.answered(self._target, standby.host)
        return standby.back()

    def _use(self, found: TargetSocket) -> None:
        self._answers.hopes_no_more(self._target, self.host, self)
        before, self._socket = self._socket, found
        before.close()
        self._traveller.moved(found.host, found.here)

    def _passed_on(self, refused: list[bytes]) -> bool:
        self._settle_later()
        for datagram in refused:
            try:
                self._socket.send(datagram)
            except OSError as failed:
                if isinstance(failed, REFUSALS) or (self._trying and no_way(failed)):
                    return False
                self._traveller.dropped(Drop.UNSENT)
        if self._trying and refused:
            self._answers.hopes(self._target, self.host, self)
        return True

    def _keep(self, datagram: bytes) -> None:
        if self._settling is None:
            self._settling = self._reactor.callLater(PATIENCE, self._time_over)
        self._answers.hopes(self._target, self.host, self)
        self._kept.add(datagram)

    def _settle_later(self) -> None:
        """Restart the wait for a refusal, while there is another address to go to."""
        if not self._trying:
            self._settle()
        elif self._settling is not None:
            self._settling.reset(PATIENCE)

    def _time_over(self) -> None:
        """Nobody has refused in time. Perhaps a datagram was lost: a standby without an answer is kept for later."""
        if self._standby is None:
            self._settle()
        elif self._standby.heard:
            self._use(self._back())
            self._silent_since = None
            self._settle()
        else:
            self._forget_kept()

    def _answered(self) -> None:
        self._unheard = False
        if self._standby is not None:
            self._answers.forget(self._target, self._standby.host)
        self._settle()
        if self._silent_since is not None:
            self._silent_since = None
            self._answers.answered(self._target, self.host)

    def _settle(self) -> None:
        """Stay with this address."""
        self._others = []
        self._leave_standby()
        self._forget_kept()

    def _forget_kept(self) -> None:
        self._kept = Kept()
        self._answers.hopes_no_more(self._target, self.host, self)
        if self._settling is not None:
            if self._settling.active():
                self._settling.cancel()
            self._settling = None

    def _leave_standby(self) -> None:
        if self._standby is not None:
            self._standby.close()
            self._standby = None

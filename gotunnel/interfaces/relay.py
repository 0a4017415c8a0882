"""The contracts between those who move bytes: a relay, its legs and their owners, and the connection of a visitor or a
target beside them."""

from __future__ import annotations

from typing import Any

from zope.interface import Attribute, Interface

__all__ = ["IDatagramRelay", "ILeg", "ILegOwner", "ILocal", "IRelay"]


class IRelay(Interface):
    """How bytes move: the data plane of a process. Server and client each use one for all their legs.

    Every implementation passes the one conformance suite (`tests/relay_contract.py`). A relay decides nothing: whom to
    serve, what to dial and which leg to take is told to it.

    Made with `(reactor, options, dial_timeout, descriptors)`, once for the life of the process: `dial_timeout` are the
    seconds of a dial, `descriptors` is the `net.descriptors.Descriptors` of the process. A GotunnelError says that it
    cannot run here.
    """

    name = Attribute("the word that chooses it in a configuration")
    gate = Attribute("the `net.descriptors.Gate` of its visitors, for those who accept visitors beside it")
    own_tls = Attribute("True when its legs run on the TLS of `net.biotls`, False when on Twisted's")
    locals = Attribute("how many visitors and targets are connected, those included that only take their last bytes")

    def time_legs(times: Any) -> None:
        """From now on give new legs up by these `net.pathwatch.LegTimes`, or with None as the protocol has it."""

    def listen(host: str, port: int, on_visitor: Any, backlog: int = 1024) -> Any:
        """Listen for visitors on `host` and `port` (0: any free one), as soon as this returns.

        `on_visitor(local: ILocal)` is called for each visitor, who is not read from until he is given to a leg.
        Returns an `IListeningPort` of Twisted. Raises `PortUnavailable` (port_in_use, no_fds, bad_request).
        """

    def dial(target: Any, timeout: float) -> Any:
        """Connect to a target (a `HostPort` or a `UnixPath`) within `timeout` seconds.

        Returns an `ILocal`, not read from yet, if the connection stands at once; else a Deferred that fires with one,
        or fails with `DialFailed`, whose code goes to the visitor's end. Cancelling it gives up.
        """

    def take(sock: Any, address: str, host: str) -> Any:
        """Take over a connected, non-blocking stream socket and return it as an `ILocal`, not read from yet.

        The socket belongs to the relay from now on; `address` and `host` are what the `ILocal` says of its other end.
        Raises OSError when there is no descriptor for it; then it is closed.
        """

    def leg(transport: Any, leftover: bytes, end: Any, owner: Any, plain: bool) -> Any:
        """Take over an authenticated connection and return it as an `ILeg` in the idle state.

        `transport` is a Twisted TCP or TLS transport whose handshake is over, `leftover` what had arrived behind the
        handshake, `end` an `End`, `owner` an `ILegOwner`. From now on the relay alone reads, writes and closes it.
        """

    def stop() -> None:
        """Give up what the relay itself holds: its timers, and visitors and targets that still take their last bytes,
        which are reset. Legs and listeners are for their owners to close, before. Called once, last."""


class IDatagramRelay(Interface):
    """What a relay provides as well that can carry datagrams. One that does not is a relay all the same: a server and a
    client that use it refuse mappings with `protocol: udp`."""

    def flow(
        outlet: Any, idle: float, address: str, host: str, here: str, dropped: Any, answered: bool
    ) -> Any:
        """Return an `ILocal` for the datagrams of one address, which its legs take as any other: a `net.flow.Flow`,
        made with the relay's clock and these arguments."""


class ILocal(Interface):
    """A visitor's or a target's connection, as its relay made it. Only that relay can read or write it."""

    address = Attribute("the remote address as text, `host:port`")
    host = Attribute("the remote IP address as text, or empty")
    gone = Attribute("True once the connection is gone, whoever closed it")
    partner = Attribute("another one with `gone`, `abort` and `lost` that is reset when this one is, or None")
    why = Attribute("the code by which it is reset with its partner, set ahead of that; None if that says nothing")
    on_gone = Attribute(
        "called without arguments if the connection is reset before a leg gets it; set by its owner, unset by the leg"
    )

    def destination() -> str:
        """Return the address of this end, which a visitor came to, as text, `host:port`; empty where there is none,
        or none any more."""

    def fileno() -> int:
        """Return the descriptor of its socket, for who looks at its first bytes before a leg gets it."""

    def stand_for(address: str, host: str, destination: str) -> None:
        """From now on `address`, `host` and `destination()` are these: whoever connected has said for whom he did."""

    def begin_with(data: bytes) -> None:
        """Send this ahead of everything else. Called once at most, by who has just dialled it, before a leg gets it:
        it leaves together with the first bytes, if those are there, and else at once; the leg does not count it."""

    def abort() -> None:
        """Reset the connection at once, also when bytes are unsent. Harmless when it is gone."""

    def lost() -> None:
        """The same, said by its other end, where that is in this process: the leg that has it is told of a reset."""


class ILeg(Interface):
    """One leg between its handshake and its end. Times are monotonic seconds of the reactor."""

    end = Attribute("End.OPENER or End.DIALLER")
    plain = Attribute("True when the leg runs outside TLS")
    state = Attribute("the State of its machine")
    last_received = Attribute("when a frame last arrived")
    opens = Attribute("how many OPEN frames this leg has carried, sent or received")
    carried = Attribute("bytes of the visitor that is served now, so far: to the target, and back; (0, 0) without one")
    tag = Attribute("whatever the owner keeps with the leg; the relay never reads it")

    def open(local: Any, body: bytes, held: bool = False, begins: bytes = b"") -> None:
        """Opener, idle leg: serve a visitor. `body` is the OPEN's; the visitor's first bytes follow right behind, and
        ahead of those `begins`, which is counted with them. With `held` they follow when the target has answered, and
        if it does not, or the leg is lost or closed before that, `leg_ended` gives the visitor back: nothing was read
        from him, and he may be given to another leg."""

    def probe() -> None:
        """Opener, idle leg: ask whether the leg lives; `leg_probed` follows, or within 2 s `leg_lost`."""

    def accept(local: Any, awaited: bool = False) -> None:
        """Dialler, after `leg_open` and not after `leg_abandoned`: the target answered; OPENED is sent, bytes flow.
        Where it is not `awaited` OPENED may wait a few milliseconds for company."""

    def refuse(code: str) -> None:
        """Dialler, likewise: the target did not answer; the visitor is reset with this code."""

    def reset(code: str) -> None:
        """Reset the visitor or target of a streaming leg; the leg itself lives on. Harmless when there is none; so a
        dialler that still dials is told by `refuse` instead."""

    def close() -> None:
        """Close the leg. An idle one closes in order; otherwise its visitor and target are reset."""


class ILegOwner(Interface):
    """Who is told what happens to a leg: the session that it belongs to. No method may raise."""

    def leg_open(leg: Any, body: bytes) -> None:
        """Dialler: an OPEN arrived. The owner dials and calls `accept` or `refuse` on the leg, or closes it."""

    def leg_answered(leg: Any) -> None:
        """Opener: the target answered."""

    def leg_first_byte(leg: Any) -> None:
        """Opener: the first byte for the visitor is here."""

    def leg_probed(leg: Any) -> None:
        """Opener: the probe came back; the leg is idle."""

    def leg_abandoned(leg: Any) -> None:
        """Dialler: the visitor or the leg went away while the owner dials; the dial is to be cancelled."""

    def leg_ended(leg: Any, end: Any) -> None:
        """A visitor's time on the leg is over; `end` is a `StreamEnd`. `leg_idle` follows at once, or `leg_lost`
        later; behind a held visitor whose target was refused either may take a while. An end that is clean at the
        opener was clean at the dialler too."""

    def leg_idle(leg: Any) -> None:
        """The leg is free for the next visitor (opener), or has said so (dialler)."""

    def leg_lost(leg: Any, reason: str) -> None:
        """The leg's connection is gone, whoever closed it. Called once, last."""

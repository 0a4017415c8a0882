"""The contracts of the data plane: a relay, its legs and their owners, and the connection of a visitor or a target."""

from __future__ import annotations

from typing import Any

from zope.interface import Attribute, Interface

__all__ = ["IDatagramRelay", "ILeg", "ILegOwner", "ILocal", "IRelay"]


class IRelay(Interface):
    """How bytes move: the data plane of a process. Server and client each use one relay for all their legs.

    Every implementation passes the same conformance suite (`tests/relay_contract.py`). A relay decides nothing: it is
    told which visitor to serve, what to dial and which leg to take.

    Made with `(reactor, options, dial_timeout, descriptors)`, once for the life of the process. `dial_timeout` is in
    seconds; `descriptors` is the `net.descriptors.Descriptors` of the process. A GotunnelError says that the relay
    cannot run here.
    """

    name = Attribute("the word that chooses it in a configuration")
    gate = Attribute("the `net.descriptors.Gate` of its visitors, for other code that accepts visitors")
    own_tls = Attribute("True if its legs use the TLS of `net.biotls`, False if they use Twisted's")
    locals = Attribute("how many visitors and targets are connected, even if only to receive their last bytes")

    def time_legs(times: Any) -> None:
        """From now on, use these `net.pathwatch.LegTimes` to give up new legs; None means the times of the protocol."""

    def listen(host: str, port: int, on_visitor: Any, backlog: int = 1024) -> Any:
        """Listen for visitors on `host` and `port` (0: any free one). It listens when this method returns.

        `on_visitor(local: ILocal)` is called for each visitor. Nothing is read from a visitor until a leg gets it.
        Returns a Twisted `IListeningPort`. Raises `PortUnavailable` (port_in_use, no_fds, bad_request).
        """

    def dial(target: Any, timeout: float) -> Any:
        """Connect to a target (a `HostPort` or a `UnixPath`) within `timeout` seconds.

        Returns an `ILocal` if the connection is there at once. Otherwise returns a Deferred that fires with an ILocal,
        or fails with `DialFailed`, whose code goes to the visitor's end. Nothing has been read from the ILocal yet.
        Cancelling the Deferred gives up.
        """

    def take(sock: Any, address: str, host: str) -> Any:
        """Take over a connected, non-blocking stream socket, and return it as an `ILocal` from which nothing has been
        read.

        The socket belongs to the relay from now on. `address` and `host` are the ILocal's values for its other end.
        Raises OSError if there is no descriptor for it; the socket is then closed.
        """

    def leg(transport: Any, leftover: bytes, end: Any, owner: Any, plain: bool) -> Any:
        """Take over an authenticated connection, and return it as an `ILeg` in the idle state.

        `transport` is a Twisted TCP or TLS transport whose handshake is over, `leftover` the bytes that arrived after
        the handshake, `end` an `End`, `owner` an `ILegOwner`. From now on only the relay reads, writes and closes the
        transport.
        """

    def stop() -> None:
        """Release what the relay itself holds: its timers, and visitors and targets that are still taking their last
        bytes, which are reset. The owners of legs and listeners close those before. Called once, as the last call."""


class IDatagramRelay(Interface):
    """Provided, in addition to IRelay, by a relay that can carry datagrams. It is optional: a server or client whose
    relay lacks it refuses mappings with `protocol: udp`."""

    def flow(
        outlet: Any, idle: float, address: str, host: str, here: str, dropped: Any, answered: bool
    ) -> Any:
        """Return an `ILocal` for the datagrams of one address, which legs take like any other: a `net.flow.Flow`, made
        with the relay's clock and these arguments."""


class ILocal(Interface):
    """A visitor's or a target's connection, as its relay made it. Only that relay can read or write it."""

    address = Attribute("the remote address as text, `host:port`")
    host = Attribute("the remote IP address as text, or empty")
    gone = Attribute("True once the connection has closed, by either end")
    partner = Attribute("an object with `gone`, `abort` and `lost` that is reset when this one is, or None")
    why = Attribute("the code with which it and its partner are reset, set before that; None if there is no code")
    on_gone = Attribute(
        "called without arguments if the connection is reset before a leg gets it; set by its owner, unset by the leg"
    )

    def destination() -> str:
        """Return this end's address, to which the visitor came, as text, `host:port`; empty if there is none, or no
        longer one."""

    def fileno() -> int:
        """Return the descriptor of its socket, for code that inspects its first bytes before a leg gets it."""

    def stand_for(address: str, host: str, destination: str) -> None:
        """From now on, use these as `address`, `host` and `destination()`: what connected here has named the visitor
        that it carries."""

    def begin_with(data: bytes) -> None:
        """Send this before everything else. Called at most once, by the code that has dialled the connection, before a
        leg gets it. The data leaves together with the first bytes if those are there, otherwise at once. The leg does
        not count it."""

    def abort() -> None:
        """Reset the connection at once, even if bytes are unsent. Harmless if it has closed."""

    def lost() -> None:
        """Like `abort`, called by the other end if that is in this process: the leg that has the connection sees a
        reset."""


class ILeg(Interface):
    """One leg between its handshake and its end. Times are monotonic seconds of the reactor."""

    end = Attribute("End.OPENER or End.DIALLER")
    plain = Attribute("True if the leg runs outside TLS")
    state = Attribute("the State of its state machine")
    last_received = Attribute("when a frame last arrived")
    opens = Attribute("how many OPEN frames this leg has carried, sent or received")
    carried = Attribute("bytes of the current visitor so far: to the target, and back; (0, 0) without one")
    tag = Attribute("whatever the owner keeps with the leg; the relay never reads it")

    def open(local: Any, body: bytes, held: bool = False, begins: bytes = b"") -> None:
        """Opener, idle leg: serve a visitor. `body` is that of the OPEN frame. Then `begins` follows, and then the
        visitor's first bytes; both are counted. With `held`, they follow only when the target has answered. If it does
        not answer, or the leg is lost or closed before that, `leg_ended` gives the visitor back: nothing was read from
        it, and another leg can serve it."""

    def probe() -> None:
        """Opener, idle leg: ask whether the leg works. `leg_probed` follows, or `leg_lost` within 2 s."""

    def accept(local: Any, awaited: bool = False) -> None:
        """Dialler, after `leg_open` and not after `leg_abandoned`: the target has answered; OPENED is sent, and bytes
        flow. Unless it is `awaited`, OPENED may be delayed by a few milliseconds so that it travels with other
        frames."""

    def refuse(code: str) -> None:
        """Dialler, after `leg_open` and not after `leg_abandoned`: the target did not answer. The visitor is reset with
        this code."""

    def reset(code: str) -> None:
        """Reset the visitor or target of a streaming leg; the leg itself stays. Harmless if there is none: a dialler
        that is still dialling uses `refuse` instead."""

    def close() -> None:
        """Close the leg. An idle leg closes in order; otherwise its visitor and target are reset."""


class ILegOwner(Interface):
    """Receives the events of a leg: the session to which it belongs. No method may raise."""

    def leg_open(leg: Any, body: bytes) -> None:
        """Dialler: an OPEN has arrived. The owner dials and calls `accept` or `refuse` on the leg, or closes it."""

    def leg_answered(leg: Any) -> None:
        """Opener: the target has answered."""

    def leg_first_byte(leg: Any) -> None:
        """Opener: the first byte for the visitor has arrived."""

    def leg_probed(leg: Any) -> None:
        """Opener: the probe has been answered; the leg is idle."""

    def leg_abandoned(leg: Any) -> None:
        """Dialler: the visitor or the leg has gone away while the owner dials. The owner must cancel the dial."""

    def leg_ended(leg: Any, end: Any) -> None:
        """The visitor on the leg has ended; `end` is a `StreamEnd`. `leg_idle` follows at once, or `leg_lost` later;
        after a held visitor whose target was refused, either may take a while. An end that is clean at the opener was
        clean at the dialler, too."""

    def leg_idle(leg: Any) -> None:
        """The leg is free for the next visitor (opener), or has said so (dialler)."""

    def leg_lost(leg: Any, reason: str) -> None:
        """The leg's connection has closed, whichever side closed it. Called once, as the last call."""

"""Checks the target of a mapping with `protocol: udp`, as far as that is possible: datagrams have no connection, and
only the service's own protocol gets an answer. But the target's system may report that nothing listens there."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from gotunnel.address import HostPort, is_ip
from gotunnel.cli.doctor.findings import Finding, note, problem
from gotunnel.cli.doctor.way import CURES
from gotunnel.errors import DialFailed, Sentence
from gotunnel.net.resolve import resolve
from gotunnel.net.targetsocket import TargetSocket

__all__ = ["check_datagrams"]

PATIENCE = 0.5
"""Seconds to wait for a refusal. One from farther away is missed."""


async def check_datagrams(reactor: Any, check: str, target: HostPort, timeout: float) -> list[Finding]:
    """Send one empty datagram, which is harmless, and see whether the target's system refuses it. Of the addresses of a
    name, the first that does not refuse counts, as for a flow."""
    hosts = [target.host]
    try:
        if not is_ip(target.host):
            hosts = await resolve(reactor, target.host, target.port, timeout)
    except DialFailed as failed:
        return [_unreached(check, failed)]
    found: list[Finding] = []
    for host in hosts:
        found = await _ask(reactor, check, target, host, timeout)
        if not found:
            return [note(check, Sentence(
                "nothing refuses datagrams to {target}; whether a service answers there, only its own protocol can "
                "tell (health with type: command)",
                target=target,
            ))]  # fmt: skip
    return found


async def _ask(reactor: Any, check: str, target: HostPort, host: str, timeout: float) -> list[Finding]:
    """Return what is wrong with one of the target's addresses."""
    heard: Deferred[Finding | None] = Deferred()
    nobody = problem(check, Sentence(
        "{target}: its system says that nobody listens there (UDP)", target=target
    ), "start the service, or correct the mapping's local")  # fmt: skip
    no_way = problem(check, Sentence(
        "{target}: a router or firewall on the way refuses the packets (UDP)", target=target
    ), "look at the firewalls, that of the target's machine first, or correct the mapping's local")  # fmt: skip

    def hear(said: Finding | None) -> None:
        if not heard.called:
            heard.callback(said)

    try:
        sock = TargetSocket(
            reactor, host, target.port, lambda datagram: hear(None), lambda: hear(nobody), lambda: hear(no_way)
        )
    except DialFailed as failed:
        return [_unreached(check, failed)]
    late = reactor.callLater(min(PATIENCE, timeout), hear, None)
    try:
        sock.send(b"")
        said = await heard
    except ConnectionRefusedError:
        said = nobody
    except OSError as failed:
        words = Sentence("{target}: {words}", target=target, words=failed.strerror or "it cannot be sent to")
        return [problem(check, words, "correct the mapping's local, or this machine's routes")]
    finally:
        if late.active():
            late.cancel()
        sock.close()
    return [] if said is None else [said]


def _unreached(check: str, failed: DialFailed) -> Finding:
    return problem(check, str(failed), CURES.get(failed.code, "make sure that this machine can reach it"))

"""What can be said of the target of a mapping with `protocol: udp`, which is little: datagrams know no connection, and
only who speaks the service's own protocol hears from it. Its system may say that nobody listens there."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from gotunnel.address import HostPort, is_ip
from gotunnel.cli.doctor.findings import Finding, note, problem
from gotunnel.cli.doctor.way import CURES
from gotunnel.errors import DialFailed, Sentence
from gotunnel.net.resolve import resolve
from gotunnel.net.udp import TargetSocket

__all__ = ["check_datagrams"]

PATIENCE = 0.5
"""Seconds that a refusal may take; what is farther away than that is not heard of."""


async def check_datagrams(reactor: Any, check: str, target: HostPort, timeout: float) -> list[Finding]:
    """Send one empty datagram, which harms nobody, and hear whether the target's system refuses it."""
    try:
        host = target.host
        if not is_ip(host):
            host = (await resolve(reactor, host, target.port, timeout))[0]
        refused: Deferred[bool] = Deferred()

        def hear(said: bool) -> None:
            if not refused.called:
                refused.callback(said)

        sock = TargetSocket(reactor, host, target.port, lambda datagram: hear(False), lambda: hear(True))
    except DialFailed as failed:
        return [problem(check, str(failed), CURES.get(failed.code, "see that this machine can reach it"))]
    late = reactor.callLater(min(PATIENCE, timeout), hear, False)
    try:
        sock.send(b"")
        nobody = await refused
    except ConnectionRefusedError:
        nobody = True
    except OSError as failed:
        said = Sentence("{target}: {words}", target=target, words=failed.strerror or "it cannot be sent to")
        return [problem(check, said, "correct the mapping's local, or this machine's routes")]
    finally:
        if late.active():
            late.cancel()
        sock.close()
    if nobody:
        said = Sentence("{target}: its system says that nobody listens there (UDP)", target=target)
        return [problem(check, said, "start the service, or correct the mapping's local")]
    return [note(check, Sentence(
        "nobody refuses datagrams to {target}; whether a service answers there, only its own protocol can tell (health "
        "with type: command)",
        target=target,
    ))]  # fmt: skip

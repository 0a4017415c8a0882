"""The way from a client to its server: whether the name resolves, and whether each of its addresses accepts a
connection. Sends nothing, so that nothing counts against this machine."""

from __future__ import annotations

from typing import Any

from gotunnel.address import Address, HostPort, is_ip
from gotunnel.cli.doctor.findings import Finding, ok, problem, warning
from gotunnel.client.checks import TcpCheck
from gotunnel.errors import DialFailed, Sentence
from gotunnel.net.resolve import resolve

__all__ = ["find_way", "knock"]

CURES = {
    "refused": "no program listens there: start the server, or correct the address",
    "timeout": "a firewall on the way drops the packets, or the machine is down: let this machine reach that port",
    "unreachable": "correct the address, or this machine's routes",
    "unknown_host": "correct the name, or its DNS",
    "no_fds": "raise `ulimit -n`",
}
"""What to do about the codes of DialFailed."""


async def find_way(reactor: Any, server: HostPort, timeout: float) -> tuple[list[Finding], list[HostPort]]:
    """Return the findings, and the addresses that accept connections."""
    found: list[Finding] = []
    hosts = [server.host]
    if not is_ip(server.host):
        try:
            hosts = await resolve(reactor, server.host, server.port, timeout)
        except DialFailed as lost:
            cure = "correct client.server_addr (or servers), or what answers for this name (/etc/hosts, DNS)"
            return [problem("resolve", str(lost), cure)], []
        found.append(ok("resolve", Sentence("{name} is {addresses}", name=server.host, addresses=", ".join(hosts))))
    reached: list[HostPort] = []
    refusals: list[DialFailed] = []
    for host in hosts:
        address = HostPort(host, server.port)
        try:
            seconds = await knock(reactor, address, timeout)
        except DialFailed as failed:
            refusals.append(failed)
        else:
            reached.append(address)
            said = Sentence("{address} accepts connections, {milliseconds:.1f} ms", address=address,
                            milliseconds=seconds * 1000)  # fmt: skip
            found.append(ok("connect", said))
    for refusal in refusals:
        cure = CURES.get(refusal.code, "make sure that this machine can reach it")
        if reached:
            other = "or take that address out of the name, or write the other one into client.server_addr"
            cure = Sentence.joined("; ", (cure, other))
        found.append((warning if reached else problem)("connect", str(refusal), cure))
    return found, reached


async def knock(reactor: Any, address: Address, timeout: float) -> float:
    """Connect, and close again; return the seconds until the connection was there. Raises DialFailed."""
    begun = reactor.seconds()
    await TcpCheck(reactor, address, None, timeout).probe()
    seconds: float = reactor.seconds() - begun
    return seconds

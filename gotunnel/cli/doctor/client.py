"""The checks of a client's section: its server, and everything that it names on its own side."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults

from gotunnel.address import HostPort
from gotunnel.cli.doctor.findings import Finding, note, problem
from gotunnel.cli.doctor.login import log_in
from gotunnel.cli.doctor.machine import client_descriptors
from gotunnel.cli.doctor.targets import check_egress, check_forward, check_mapping, check_node
from gotunnel.cli.doctor.verdict import judge
from gotunnel.cli.doctor.way import find_way
from gotunnel.cli.doctor.wish import Wish
from gotunnel.client.identity import ClientIdentity
from gotunnel.config.model import ClientConfig
from gotunnel.errors import GotunnelError, Sentence
from gotunnel.interfaces import IRelay
from gotunnel.net.choice import RelayUnfit, choose_relay
from gotunnel.net.dialer import ServerPath
from gotunnel.net.plugged import made
from gotunnel.net.tls import TlsFilesError

__all__ = ["check_client", "side_by_side"]

AT_ONCE = 16
"""The largest number of targets that are examined concurrently."""


async def check_client(reactor: Any, config: ClientConfig, wish: Wish) -> list[Finding]:
    """Return all findings about a client."""
    found = client_descriptors()
    for server in config.all_servers:
        found += await _check_server(reactor, config, server, wish)
    checks: list[Coroutine[Any, Any, list[Finding]]] = []
    checks += [check_mapping(reactor, config, mapping, wish) for mapping in config.mappings]
    checks += [check_forward(reactor, forward, wish) for forward in config.forwards]
    checks += [check_node(reactor, node, wish) for node in config.nodes]
    found += await side_by_side(checks)
    if config.egress is not None:
        found += await check_egress(reactor, "client.egress", config.egress.listen, wish.timeout)
    return found


async def side_by_side(checks: list[Coroutine[Any, Any, list[Finding]]]) -> list[Finding]:
    """Run checks concurrently, at most AT_ONCE; return their findings in the order of the checks."""
    turn = DeferredSemaphore(AT_ONCE)
    running = [turn.run(Deferred.fromCoroutine, check) for check in checks]
    return [finding for findings in await gatherResults(running) for finding in findings]


async def _check_server(reactor: Any, config: ClientConfig, server: HostPort, wish: Wish) -> list[Finding]:
    transport = None
    if config.transport is None:
        found, reached = await find_way(reactor, server, wish.timeout)
    else:
        try:
            transport = made("transport", config.transport, reactor)
        except GotunnelError as unfit:
            return [problem("transport", str(unfit), "correct client.transport")]
        said = Sentence("by the transport {transport}, which the login tries", transport=config.transport)
        found = [note("connect", said)]
        reached = [server]
    if config.v1:
        return [*found, note("login", "not tried: client.v1 would send the token in clear; the client's log tells")]
    try:
        relay = choose_relay(config.relay, reactor, config.dial_timeout)
    except RelayUnfit as unfit:
        return [*found, problem("relay", unfit.what, unfit.cure)]
    except GotunnelError as unfit:  # a plugin's, in its own words
        return [*found, problem("relay", str(unfit), "correct client.relay")]
    try:
        return found + await _log_in(reactor, config, server, reached, relay, wish, transport)
    finally:
        relay.stop()


async def _log_in(
    reactor: Any, config: ClientConfig, server: HostPort, reached: list[HostPort], relay: IRelay, wish: Wish,
    transport: Any,
) -> list[Finding]:  # fmt: skip
    found: list[Finding] = []
    creator, legs = None, None
    if config.tls.mode != "off":
        try:
            towards = ClientIdentity(config, reactor, legs=relay.own_tls).tls.towards[server.host]
        except TlsFilesError as broken:
            return [problem("tls", str(broken), "correct the files that client.tls names")]
        creator, legs = towards.creator, towards.legs
    # Each address in `servers` is a server of its own. One login per server is enough: a wrong token counts against
    # this machine's address.
    for at in reached if config.servers else reached[:1]:
        path = ServerPath(reactor, at, creator, legs, transport=transport)
        login = await log_in(reactor, path, config, wish.timeout, relay if wish.throughput else None)
        found += judge(config, at, login)
    return found

"""Checks what a client's section names on its own side of the tunnel: targets, ports of forwards, nodes and an egress
socket. Each is dialled as the client would dial it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import TimeoutError

from gotunnel.address import Address, HostPort, UnixPath, is_wildcard
from gotunnel.cli.doctor.datagrams import check_datagrams
from gotunnel.cli.doctor.findings import Finding, note, ok, problem, subject, warning
from gotunnel.cli.doctor.proxied import check_header, header_of
from gotunnel.cli.doctor.serving import APISERVER, check_apiserver, check_kubelet
from gotunnel.cli.doctor.visit import is_reset
from gotunnel.cli.doctor.way import CURES, knock
from gotunnel.client.checks import check_for
from gotunnel.client.tlsprobe import ask_for_tls
from gotunnel.config.choices import KUBELET
from gotunnel.config.model import ClientConfig, ForwardConfig, HealthConfig, MappingConfig, NodeConfig
from gotunnel.core.ports import PortSet
from gotunnel.errors import DialFailed, GotunnelError, Sentence

if TYPE_CHECKING:
    from gotunnel.cli.doctor.wish import Wish

__all__ = ["check_egress", "check_forward", "check_mapping", "check_node", "leads_to_kubernetes"]


async def check_mapping(reactor: Any, config: ClientConfig, mapping: MappingConfig, wish: Wish) -> list[Finding]:
    """Check one target: whether it is there, whether it is healthy, and whether it uses TLS if that was promised."""
    check, target = subject("mapping", mapping.name), mapping.local
    if mapping.protocol == "udp" and mapping.health is None and isinstance(target, HostPort):
        return await check_datagrams(reactor, check, target, wish.timeout)
    health = mapping.health or HealthConfig(timeout=wish.timeout)
    probing = check_for(reactor, mapping.model_copy(update={"health": health})).probe()
    try:
        await probing.addTimeout(health.timeout, reactor)
    except TimeoutError:
        return [problem(check, Sentence("{target}: no answer in time", target=target), CURES["timeout"])]
    except DialFailed as failed:
        return [problem(check, str(failed), _cure(failed, target))]
    except GotunnelError as unwell:
        cure = "find out what is wrong with the service, or correct health: until then its public port is closed"
        said = Sentence("{target} is reached, and its health check fails: {reason}", target=target, reason=unwell)
        return [problem(check, said, cure)]
    found = [ok(check, Sentence("{target} is healthy", target=target) if mapping.health
                else Sentence("{target} accepts connections", target=target))]  # fmt: skip
    if mapping.protocol == "udp":
        return found  # the rest is about TLS
    if not mapping.encrypt and config.tls.mode != "off":
        found += await _ask_for_tls(reactor, check, mapping)
    if mapping.proxy_protocol != "off":
        # The following checks speak TLS to the target, without a header.
        return found if mapping.health else [*found, *await check_header(reactor, check, mapping, wish.timeout)]
    ports = {mapping.remote_port, target.port if isinstance(target, HostPort) else 0}
    if APISERVER in ports:
        hosts = (*_hosts(config, mapping), *wish.names)
        found += await check_apiserver(reactor, check, target, hosts, wish.timeout)
    if KUBELET in ports:
        hosts = () if mapping.bind is None else _hosts(config, mapping)
        found += await check_kubelet(reactor, check, target, hosts, wish.kubelet_ca, wish.timeout)
    return found


async def check_forward(reactor: Any, forward: ForwardConfig, wish: Wish) -> list[Finding]:
    """Check whether a client serves the port of a forward, and whether a visitor that sends nothing may stay: one that
    the server does not lead to the target is reset."""
    check, listen = subject("forward", forward.name), forward.listen
    if isinstance(listen, UnixPath):
        found = await _check_socket(reactor, check, listen, wish.timeout)
        if found[0].status != "ok":
            return found
    elif listen.port == 0:
        return [note(check, "not tried: it takes any free port, which the client's log tells")]
    else:
        listen = HostPort("127.0.0.1" if is_wildcard(listen.host) else listen.host, listen.port)
        found = []
    try:
        reset = await is_reset(reactor, listen, wish.timeout)
    except DialFailed as failed:
        said = Sentence("nothing serves {listen}: {failed}", listen=listen, failed=failed)
        return [warning(check, said, "start the client, or read its log")]
    if reset:
        said = Sentence("visitors of {listen} are reset: they cannot be led to {dial}",
                        listen=listen, dial=forward.dial)
        cure = "read the client's log: it names who refuses, the server, the other client or the target"
        return [problem(check, said, cure)]
    found = found or [ok(check, Sentence("{listen} accepts connections, and does not reset a silent one",
                                         listen=listen))]  # fmt: skip
    ports = {each.port for each in (forward.dial, listen) if isinstance(each, HostPort)}
    if APISERVER in ports:
        name = () if isinstance(listen, UnixPath) else (listen.host,)
        found += await check_apiserver(reactor, check, listen, (*name, *wish.names), wish.timeout)
    return found


async def check_node(reactor: Any, node: NodeConfig, wish: Wish) -> list[Finding]:
    """Check the kubelets that a client announces; networks and patterns are not addresses to dial."""
    hosts = [str(match) for match in node.match if not set(str(match)) & set("/*")]
    check = subject("nodes", ", ".join(map(str, node.match)))
    if KUBELET not in PortSet.parse(node.allow_ports):
        return [note(check, Sentence("not tried: port {port} is not among its allow_ports", port=KUBELET))]
    found: list[Finding] = []
    for host in hosts:
        target = HostPort(str(node.dial or host), KUBELET)
        found += await check_kubelet(
            reactor, subject("node", host), target, (host,), wish.kubelet_ca, wish.timeout
        )
    return found or [note(check, "not tried: networks and patterns name no single node")]


async def check_egress(reactor: Any, check: str, listen: UnixPath, timeout: float) -> list[Finding]:
    """Check an egress socket, which kube-apiserver must be able to open."""
    return await _check_socket(reactor, check, listen, timeout)


def leads_to_kubernetes(config: ClientConfig) -> bool:
    """Return whether a client names anything whose certificate is checked."""
    mappings = [mapping for mapping in config.mappings if mapping.protocol == "tcp"]
    ports = {mapping.remote_port for mapping in mappings}
    places: list[object] = [mapping.local for mapping in mappings]
    places += [place for forward in config.forwards for place in (forward.listen, forward.dial)]
    ports |= {place.port for place in places if isinstance(place, HostPort)}
    announced = any(KUBELET in PortSet.parse(node.allow_ports) for node in config.nodes)
    return announced or not ports.isdisjoint((APISERVER, KUBELET))


async def _check_socket(reactor: Any, check: str, listen: UnixPath, timeout: float) -> list[Finding]:
    folder = os.path.dirname(listen.path)
    if not os.path.isdir(folder):
        said = Sentence("the folder {folder} does not exist", folder=folder)
        return [problem(check, said, Sentence("make it: mkdir -m 0750 {folder}", folder=folder))]
    if not os.path.exists(listen.path):
        if os.access(folder, os.W_OK | os.X_OK):
            said = Sentence("{listen} is not there", listen=listen)
            return [warning(check, said, "start the role that opens it, or read its log")]
        cure = "run the role as a user who may, or choose another folder"
        return [problem(check, Sentence("this user may make no socket in {folder}", folder=folder), cure)]
    try:
        await knock(reactor, listen, timeout)
    except DialFailed as failed:
        cure = "start the role, or give this user the right (socket_mode, and the folder's owner and mode)"
        said = Sentence("{listen} is there and cannot be opened: {failed}", listen=listen, failed=failed)
        return [problem(check, said, cure)]
    said = Sentence("{listen} accepts connections of this user, mode {mode:04o}", listen=listen,
                    mode=os.stat(listen.path).st_mode & 0o777)  # fmt: skip
    return [ok(check, said)]


async def _ask_for_tls(reactor: Any, check: str, mapping: MappingConfig) -> list[Finding]:
    target = mapping.local
    try:
        words = await ask_for_tls(reactor, target, header_of(mapping))
    except DialFailed as failed:
        return [warning(check, str(failed), "run it again")]
    if words is None:
        return []
    said = Sentence("encrypt: false is for traffic that is TLS already, but {target} {words}",
                    target=target, words=words)
    return [warning(check, said, "remove encrypt: false, or the visitors' bytes cross the network in clear")]


def _hosts(config: ClientConfig, mapping: MappingConfig) -> tuple[str, ...]:
    """Return the hosts by which the published port is reached, as far as this file says."""
    bind = mapping.bind
    if not mapping.public or (bind is not None and (bind == "localhost" or bind.startswith("127.") or bind == "::1")):
        return ()  # it is reached through a port somewhere else
    return tuple(each.host for each in config.all_servers) if bind is None or is_wildcard(bind) else (bind,)


def _cure(failed: DialFailed, target: Address) -> str:
    if isinstance(target, UnixPath):
        return "start the service, and let the client's user open its socket"
    if failed.code == "refused":
        return Sentence("start the service, or have it listen on {target}, or correct the mapping's local",
                        target=target)  # fmt: skip
    return CURES.get(failed.code, "make sure that this machine can reach it, or correct the mapping's local")

"""Describes what a configuration would open, in plain lines for `gotunnel check`, each a Sentence. Opens nothing and
looks nothing up."""

from __future__ import annotations

from collections.abc import Iterable

from gotunnel.address import HostPort, is_ip, is_wildcard
from gotunnel.config.choices import KUBELET, ProxyProtocol
from gotunnel.config.explain_clients import explain_clients
from gotunnel.config.explain_words import SERVER, WARNING, any_of, line, listed, of_client
from gotunnel.config.identityfile import FileIdentity
from gotunnel.config.model import (
    AdminConfig,
    ClientConfig,
    EgressConfig,
    File,
    ForwardConfig,
    MappingConfig,
    NodeConfig,
    ServerConfig,
)
from gotunnel.config.plugged import ListenerConfig, TransportConfig
from gotunnel.errors import Sentence

__all__ = ["explain"]

READABLE = "without TLS: anybody on the path can read the traffic"
BARE = "outside gotunnel's TLS"
BARE_KUBELET = (
    "outside gotunnel's TLS, and so safe only if kube-apiserver has --kubelet-certificate-authority"
)


def explain(file: File, filed: Iterable[FileIdentity] = ()) -> list[Sentence]:
    """Return one line for each address that would be listened on, connected to or dialled, then the warnings. `filed`
    are the clients in the server's clients file."""
    lines: list[Sentence] = []
    if file.server is not None:
        lines += [line(SERVER, said) for said in _server(file.server)]
        lines += [line(SERVER, *said) for said in explain_clients(file.server, filed)]
    if file.client is not None:
        about = of_client(file.client.name)
        lines += [line(about, *([said] if isinstance(said, str) else said)) for said in _client(file.client)]
    return lines + [line(WARNING, said) for said in file.warnings]


def _server(server: ServerConfig) -> list[str]:
    address, ports = server.addr, listed(server.allow_ports)
    where: str = address.host
    if is_wildcard(where):
        where = Sentence("{host}, on every address", host=where)
    return [
        Sentence("listens for clients on {address} {tls}", address=address, tls=_server_tls(server)),
        *map(_listener, server.listeners),
        _server_token(server),
        Sentence("lets clients publish the ports {ports}; a mapping that names no address listens on {where}",
                 ports=ports, where=where),
        *([Sentence("lets clients publish the ports {ports} for UDP", ports=listed(server.allow_udp_ports))]
          if server.allow_udp_ports else []),
        Sentence("lets clients reach {targets} by their forwards", targets=listed(server.allow_dial))
        if server.allow_dial
        else "lets clients reach nothing by forwards",
        *_server_groups(server),
        *_server_egress(server),
        *([Sentence("believes {networks}, by the PROXY protocol, whose connections they bring to public ports",
                    networks=listed(server.proxy_from))] if server.proxy_from else []),
        *_server_plugins(server),
        *_admin(server.admin),
        *_server_plain(server),
        *([_server_v1(server)] if server.v1.enabled else []),
    ]  # fmt: skip


def _listener(listener: ListenerConfig) -> str:
    # Whether the listener of a plugin has an address, and what its option is called, is up to the plugin.
    place = getattr(listener.options, "listen", None)
    if place is None:
        return Sentence("also takes clients by {plugin}", plugin=listener)
    return Sentence("also takes clients by {plugin} on {place}", plugin=listener, place=place)


def _server_groups(server: ServerConfig) -> list[str]:
    if not server.allow_groups:
        return []
    return [Sentence("lets several clients publish one port as a group: {groups}", groups=listed(server.allow_groups))]


def _server_plain(server: ServerConfig) -> list[str]:
    if server.tls.mode == "off":
        return []
    if server.allow_plain_legs:
        return ["carries mappings with encrypt: false outside TLS"]
    return ["carries mappings with encrypt: false inside TLS all the same"]


def _server_egress(server: ServerConfig) -> list[str]:
    lines: list[str] = []
    if server.allow_nodes:
        lines.append(Sentence("lets clients announce the nodes {nodes}", nodes=listed(server.allow_nodes)))
    egress = server.egress
    if egress is not None and egress.default == "direct":
        lines.append(Sentence("leads requests on {listen} to the nodes of clients, and dials what no client "
                              "announces itself", listen=egress.listen))  # fmt: skip
    elif egress is not None:
        lines.append(Sentence("leads requests on {listen} to the nodes of clients, and refuses the rest",
                              listen=egress.listen))  # fmt: skip
    return lines


def _server_plugins(server: ServerConfig) -> list[str]:
    lines: list[str] = []
    shown = listed(each for each in server.authenticators if each.shown)
    if shown:
        lines.append(Sentence("asks about clients that show their token: {plugins}", plugins=shown))
    keys = listed(each for each in server.authenticators if not each.shown)
    if keys:
        lines.append(Sentence("also lets in, by their keys, what these plugins know: {plugins}",
                              plugins=keys))  # fmt: skip
    if server.access is not None:
        lines.append(Sentence("asks about ports, dials and visitors: {plugin}", plugin=server.access))
    if server.port_allocator is not None:
        lines.append(Sentence("asks which port a mapping gets that names none: {plugin}", plugin=server.port_allocator))
    return lines + _observers(server.observers)


def _observers(observers: Iterable[object]) -> list[str]:
    names = listed(observers)
    return [Sentence("reports each visitor to: {plugins}", plugins=names)] if names else []


def _admin(admin: AdminConfig) -> list[str]:
    if not admin.enabled:
        return ["nobody can query its state, not even gotunnel status"]
    if admin.addr is None:
        return []
    if admin.token is None:
        return [Sentence("reports its state by HTTP on {address}, read-only", address=admin.addr)]
    return [Sentence("reports its state by HTTP on {address}, to those who have its token", address=admin.addr)]


def _server_token(server: ServerConfig) -> str:
    if server.token is None:
        return "has no token for all; only clients with a token of their own get in"
    file = server.token_file
    if server.clients and file is None:
        return "has its token for clients that have none of their own"
    if server.clients:
        return Sentence("reads its token for clients that have none of their own from {file}", file=file)
    return _own_token(file)


def _own_token(file: object) -> str:
    return "has its token" if file is None else Sentence("reads its token from {file}", file=file)


def _server_v1(server: ServerConfig) -> str:
    return Sentence("lets Go clients of version 1 in, in clear and with a token of their own, for the ports {ports}",
                    ports=listed(server.v1.allow_ports))  # fmt: skip


def _server_tls(server: ServerConfig) -> str:
    tls = server.tls
    if tls.mode == "off":
        return READABLE
    how = "with TLS and a certificate of its own making" if tls.cert is None else Sentence(
        "with TLS and the certificate {file}", file=tls.cert)  # fmt: skip
    asked = "" if tls.client_ca is None else Sentence(
        "clients need a certificate that {file} has signed", file=tls.client_ca)  # fmt: skip
    return Sentence.joined("; ", (how, asked))


def _client(client: ClientConfig) -> list[str | list[str]]:
    return [
        Sentence("connects to {servers} {tls}", servers=_servers(client), tls=_client_tls(client)),
        *([] if client.transport is None else [_transport(client.transport)]),
        _own_token(client.token_file),
        *(["shows its token to that server"] if client.bearer else []),
        *map(_mapping, client.mappings),
        *map(_forward, client.forwards),
        *map(_node, client.nodes),
        *([] if client.egress is None else [_egress(client.egress)]),
        *_observers(client.observers),
        *_admin(client.admin),
    ]


def _transport(transport: TransportConfig) -> str:
    proxy = getattr(transport.options, "proxy", None)
    if proxy is None:
        return Sentence("gets there by {plugin}", plugin=transport)
    return Sentence("gets there by {plugin}, through the proxy {proxy}", plugin=transport, proxy=proxy)


def _servers(client: ClientConfig) -> str:
    if client.server_addr is not None:
        return str(client.server_addr)
    named = [
        str(server) if is_ip(server.host) else Sentence("all addresses of {server}", server=server)
        for server in client.servers
    ]
    if len(named) == 1:
        return named[0]
    return Sentence("{servers} and {last}, at once,", servers=Sentence.joined(", ", named[:-1]), last=named[-1])


def _client_tls(client: ClientConfig) -> str:
    if client.v1:
        return "with version 1, like a Go gotunnel: anybody on the path can read the token and the traffic"
    if client.tls.mode == "off":
        return READABLE
    tls, proofs = client.tls, [Sentence("the token")]
    if tls.ca is not None:
        proofs.append(Sentence("a certificate for {name} that {file} has signed", name=_certificate_name(client),
                               file=tls.ca))  # fmt: skip
    if tls.pin:
        proofs.append(Sentence("its key ({pins})", pins=any_of(tls.pin)))
    proved: str = Sentence("with TLS; the token proves the server")
    if len(proofs) > 1:
        proved = Sentence("with TLS; {proofs} and {last} prove the server", proofs=Sentence.joined(", ", proofs[:-1]),
                          last=proofs[-1])  # fmt: skip
    shown = Sentence("this client shows {file}", file=tls.cert) if tls.cert else ""
    return Sentence.joined("; ", (proved, shown))


def _certificate_name(client: ClientConfig) -> str:
    return client.tls.server_name or any_of(dict.fromkeys(server.host for server in client.all_servers))


def _mapping(mapping: MappingConfig) -> list[str]:
    local, name, told = mapping.local, repr(mapping.name), _told(mapping.proxy_protocol)
    clients = listed(mapping.clients)
    bare = _bare(mapping.local, encrypt=mapping.encrypt)
    probed = "" if mapping.health is None else Sentence("while a probe finds it there ({probe})",
                                                        probe=mapping.health.said)  # fmt: skip
    if not mapping.public:
        only = Sentence("publishes {local} only to the clients {clients} as {name}", local=local, clients=clients,
                        name=name)  # fmt: skip
        return [only, bare, told, probed]
    where = _place(mapping)
    return [
        Sentence("publishes {local} on {where} as {name}", local=local, where=where, name=name),
        "" if mapping.protocol == "tcp" else Sentence(
            "datagrams of UDP, where a flow ends when it was quiet for {idle:g} s", idle=mapping.idle_time),
        "" if mapping.group is None else Sentence("together with others of the group {group}", group=mapping.group),
        Sentence("also to the clients {clients}", clients=clients) if clients else "",
        bare,
        told,
        probed,
    ]


def _bare(target: object, *, encrypt: bool) -> str:
    if encrypt:
        return ""
    return BARE_KUBELET if isinstance(target, HostPort) and target.port == KUBELET else BARE


def _place(mapping: MappingConfig) -> Sentence:
    """Return the place where a mapping is published, in words."""
    bind, port = mapping.bind, mapping.remote_port
    if bind is not None and port != 0:
        return Sentence("{address} on the server", address=HostPort(bind, port))
    if bind is not None:
        return Sentence("any free port of {host} on the server", host=bind)
    return Sentence("port {port} of the server", port=port) if port else Sentence("any free port of the server")


def _told(version: ProxyProtocol) -> str:
    if version == "off":
        return ""
    return Sentence("with the visitor's address ahead (PROXY protocol {version})", version=version)


def _forward(forward: ForwardConfig) -> list[str]:
    leads = Sentence("listens on {listen}, and leads from there through the server to {dial}", listen=forward.listen,
                     dial=forward.dial)  # fmt: skip
    return [leads, _bare(forward.dial, encrypt=forward.encrypt), _told(forward.proxy_protocol)]


def _node(node: NodeConfig) -> str:
    nodes, ports = listed(node.match), listed(node.allow_ports)
    if node.dial is None:
        return Sentence("leads to {nodes}: dials them, ports {ports}", nodes=nodes, ports=ports)
    return Sentence("leads to {nodes}: dials {dial} in their place, ports {ports}", nodes=nodes, dial=node.dial,
                    ports=ports)  # fmt: skip


def _egress(egress: EgressConfig) -> str:
    return Sentence("leads requests on {listen} through the server to the nodes of other clients", listen=egress.listen)

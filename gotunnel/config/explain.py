"""What a configuration would open, in plain lines for `gotunnel check`. Opens nothing and looks nothing
up."""

from __future__ import annotations

from collections.abc import Iterable

from gotunnel.address import HostPort, is_ip, is_wildcard
from gotunnel.config.choices import ProxyProtocol
from gotunnel.config.explain_clients import explain_clients
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

__all__ = ["explain"]


def explain(file: File, filed: Iterable[FileIdentity] = ()) -> list[str]:
    """Return one line for each thing that would be listened on, connected to or dialled, then the
    warnings. `filed` are the clients of the server's clients file."""
    lines = [] if file.server is None else _server(file.server) + explain_clients(file.server, filed)
    lines += _client(file.client) if file.client is not None else []
    return lines + [f"warning: {line}" for line in file.warnings]


def _server(server: ServerConfig) -> list[str]:
    where = f"{server.addr.host}, on every address" if is_wildcard(server.addr.host) else server.addr.host
    ports = ", ".join(str(rule) for rule in server.allow_ports)
    plain = "may" if server.allow_plain_legs else "may not"
    return [
        f"server: listens for clients on {server.addr} {_server_tls(server)}",
        _server_token(server),
        f"server: lets clients publish the ports {ports}; a mapping that names no address listens on {where}",
        f"server: lets clients reach {', '.join(server.allow_dial)} by their forwards"
        if server.allow_dial
        else "server: lets clients reach nothing by forwards",
        *_server_groups(server),
        *_server_egress(server),
        *_server_plugins(server),
        *_admin("server", server.admin),
        f"server: mappings with encrypt: false {plain} travel without TLS of their own",
        *([_server_v1(server)] if server.v1.enabled else []),
    ]


def _server_groups(server: ServerConfig) -> list[str]:
    groups = ", ".join(server.allow_groups)
    return [f"server: lets several clients publish one port as a group: {groups}"] if groups else []


def _server_egress(server: ServerConfig) -> list[str]:
    lines = []
    if server.allow_nodes:
        lines.append(f"server: lets clients announce the nodes {', '.join(server.allow_nodes)}")
    if server.egress is not None:
        others = "dials what no client announces itself" if server.egress.default == "direct" else "refuses the rest"
        lines.append(f"server: leads who asks on {server.egress.listen} to the nodes of clients, and {others}")
    return lines


def _server_plugins(server: ServerConfig) -> list[str]:
    lines = []
    shown = ", ".join(str(each) for each in server.authenticators if each.shown)
    if shown:
        lines.append(f"server: asks about clients that show their token: {shown}")
    keys = ", ".join(str(each) for each in server.authenticators if not each.shown)
    if keys:
        lines.append(f"server: lets in, beside those of its own clients and token, by their keys: {keys}")
    if server.access is not None:
        lines.append(f"server: asks about ports, dials and visitors: {server.access}")
    if server.port_allocator is not None:
        lines.append(f"server: asks which port a mapping gets that names none: {server.port_allocator}")
    return lines + _observers("server", server.observers)


def _observers(who: str, observers: Iterable[object]) -> list[str]:
    names = ", ".join(map(str, observers))
    return [f"{who}: tells of each visitor: {names}"] if names else []


def _admin(who: str, admin: AdminConfig) -> list[str]:
    if not admin.enabled:
        return [f"{who}: nobody can ask it how it is, gotunnel status neither"]
    if admin.addr is None:
        return []
    access = "who asks only reads" if admin.token is None else "who asks needs its token"
    return [f"{who}: tells by HTTP on {admin.addr} how it is; {access}"]


def _server_token(server: ServerConfig) -> str:
    if server.token is None:
        return "server: has no token for all; only clients with a token of their own get in"
    whose = " for clients that have none of their own" if server.clients else ""
    if server.token_file is None:
        return f"server: has its token{whose}"
    return f"server: reads its token{whose} from {server.token_file}"


def _server_v1(server: ServerConfig) -> str:
    ports = ", ".join(str(rule) for rule in server.v1.allow_ports)
    return f"server: lets Go clients of version 1 in, in clear and with a token of their own, for the ports {ports}"


def _server_tls(server: ServerConfig) -> str:
    if server.tls.mode == "off":
        return "without TLS: whoever is on the path can read what travels"
    own = "a certificate of its own making" if server.tls.cert is None else f"the certificate {server.tls.cert}"
    ca = server.tls.client_ca
    return f"with TLS and {own}" + (f"; clients need a certificate that {ca} has signed" if ca else "")


def _client(client: ClientConfig) -> list[str]:
    return [
        f"client {client.name}: connects to {_servers(client)} {_client_tls(client)}",
        f"client {client.name}: reads its token from {client.token_file}"
        if client.token_file
        else f"client {client.name}: has its token",
        *([f"client {client.name}: shows its token to that server"] if client.bearer else []),
        *(f"client {client.name}: {_mapping(mapping)}" for mapping in client.mappings),
        *(f"client {client.name}: {_forward(forward)}" for forward in client.forwards),
        *(f"client {client.name}: {_node(node)}" for node in client.nodes),
        *([] if client.egress is None else [f"client {client.name}: {_egress(client.egress)}"]),
        *_observers(f"client {client.name}", client.observers),
        *_admin(f"client {client.name}", client.admin),
    ]


def _servers(client: ClientConfig) -> str:
    if client.server_addr is not None:
        return str(client.server_addr)
    named = [
        str(server) if is_ip(server.host) else f"all addresses of {server}" for server in client.servers
    ]
    return named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}, at once,"


def _client_tls(client: ClientConfig) -> str:
    if client.v1:
        return "with version 1, as a Go gotunnel: whoever is on the path can read the token and what travels"
    if client.tls.mode == "off":
        return "without TLS: whoever is on the path can read what travels"
    tls, proofs = client.tls, ["the token"]
    if tls.ca is not None:
        proofs.append(f"a certificate for {_certificate_name(client)} that {tls.ca} has signed")
    if tls.pin:
        proofs.append(f"its key ({' or '.join(tls.pin)})")
    shown = f"; this client shows {tls.cert}" if tls.cert else ""
    proves = "proves" if len(proofs) == 1 else "prove"
    listed = " and ".join(filter(None, (", ".join(proofs[:-1]), proofs[-1])))
    return f"with TLS; {listed} {proves} the server{shown}"


def _certificate_name(client: ClientConfig) -> str:
    return client.tls.server_name or " or ".join(dict.fromkeys(server.host for server in client.all_servers))


def _mapping(mapping: MappingConfig) -> str:
    clients = f", also to the clients {', '.join(mapping.clients)}" if mapping.clients else ""
    told = _told(mapping.proxy_protocol)
    if not mapping.public:
        return f"publishes {mapping.local} only to the clients {', '.join(mapping.clients)} as {mapping.name!r}{told}"
    port = "any free port" if mapping.remote_port == 0 else f"port {mapping.remote_port}"
    if mapping.bind is None:
        where = f"{port} of the server"
    elif mapping.remote_port == 0:
        where = f"any free port of {mapping.bind} on the server"
    else:
        where = f"{HostPort(mapping.bind, mapping.remote_port)} on the server"
    probed = "" if mapping.health is None else f", while a probe finds it there ({mapping.health})"
    how = "" if mapping.encrypt else ", without a TLS of gotunnel's around it"
    shared = "" if mapping.group is None else f", together with others of the group {mapping.group}"
    return f"publishes {mapping.local} on {where} as {mapping.name!r}{shared}{clients}{how}{told}{probed}"


def _told(version: ProxyProtocol) -> str:
    return "" if version == "off" else f", with the visitor's address ahead (PROXY protocol {version})"


def _forward(forward: ForwardConfig) -> str:
    how = "" if forward.encrypt else ", without a TLS of gotunnel's around it"
    told = _told(forward.proxy_protocol)
    return f"listens on {forward.listen}, and leads from there through the server to {forward.dial}{how}{told}"


def _node(node: NodeConfig) -> str:
    where = f"{node.dial} in their place" if node.dial is not None else "them"
    ports = ", ".join(str(rule) for rule in node.allow_ports)
    return f"leads to {', '.join(node.match)}: dials {where}, ports {ports}"


def _egress(egress: EgressConfig) -> str:
    return f"leads who asks on {egress.listen} through the server to the nodes of other clients"

"""The `client:` section of a file: its keys, limits and defaults. Nothing here dials."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, ValidatorFunctionWrapHandler, field_validator

from gotunnel.address import HostPort
from gotunnel.config import tokens
from gotunnel.config.admin import Admin, AdminConfig, secret_of_its_own
from gotunnel.config.choices import (
    FORMAT,
    FORMAT_WORDS,
    IDLE_LEGS,
    KUBERNETES,
    LANG,
    LANG_WORDS,
    LEVEL,
    PROFILE,
    RELAY_WORDS,
    LogFormat,
    LogLang,
    LogLevel,
    Profile,
    RelayName,
)
from gotunnel.config.clienttls import TlsClientConfig
from gotunnel.config.egress import EgressConfig, NodeConfig
from gotunnel.config.fields import (
    DEFAULT_PORT,
    ClientName,
    FreePortList,
    PortList,
    ServerAddress,
    ServerList,
    Token,
)
from gotunnel.config.forward import ForwardConfig, forwards_that_collide
from gotunnel.config.health import HealthConfig
from gotunnel.config.kinds import FLAG, Section, seconds, several, with_parts, wrong
from gotunnel.config.mapping import MappingConfig, collisions, published
from gotunnel.config.paths import TokenFile
from gotunnel.config.plugged import ONE, Observers, TransportConfig
from gotunnel.config.usage import Usage, UsageConfig
from gotunnel.config.v1 import beyond_v1

__all__ = ["ClientConfig", "ClientFile"]

MOST_NODES = 256
"""Most nodes that one client can announce: more do not fit into a frame with the answer for each."""
NO_SERVER = f'add server_addr: with the server\'s host and port, like "tunnel.example.com:{DEFAULT_PORT}"'
MOST_SERVERS = 16
"""Most servers in one file: each has a session, and the legs of all share this process's descriptors."""
EXAMPLE = "add local_ports: [6443], or mappings: [{name: api, local: 6443, remote: 6443}]"


DIAL_TIMEOUT = seconds(0.1, 14, why="after 15 the server gives the visitor up, whatever the client waits for")
"""The other end of a leg waits for `dial_timeout` + 5 s, and knows only the default of 10 (protocol, section 5)."""


class ClientConfig(Section):
    """What a client needs to know. `mappings` holds all of them, those of `local_ports` first."""

    role: ClassVar[Literal["client"]] = "client"

    name: ClientName = Field(description="the client's name; every running client needs one of its own")
    token: Token = Field(description="the server's token; or use `token_file` or the variable GOTUNNEL_TOKEN")
    token_file: TokenFile | None = Field(
        default=None, description="file that holds the token and nothing else; only its owner may read it"
    )
    bearer: Annotated[bool, FLAG] = Field(
        default=False,
        description="show the token itself to a server whose `authenticators` must see it; only inside TLS, and only "
        "if `tls.ca` or `tls.pin` proves the server first",
    )
    servers: ServerList = Field(
        default=(),
        description="several servers in place of `server_addr`: the client connects to all of them at once, to each "
        "independently. A name stands for all of its addresses",
    )
    server_addr: ServerAddress | None = Field(
        default=None,
        validate_default=True,
        description="address of the server; the port defaults to 17000. If a name has several addresses, the first "
        "that answers is used",
    )
    local_ports: PortList = Field(
        default=(), description="ports of 127.0.0.1 to publish: the short form of `mappings`"
    )
    remote_port: FreePortList = Field(
        default=(), description="the server's ports for `local_ports`, one each; if not set, the same numbers"
    )
    log_level: Annotated[LogLevel, LEVEL] = Field(default="info", description="lowest level that is logged")
    log_lang: Annotated[LogLang, LANG] = Field(default="en", description=LANG_WORDS)
    log_format: Annotated[LogFormat, FORMAT] = Field(default="text", description=FORMAT_WORDS)
    health_check_interval: Annotated[float, seconds(0.1, 86_400)] | None = Field(
        default=None,
        description="time between probes, by connecting, of services whose mappings have no `health`",
    )
    forwards: tuple[ForwardConfig, ...] = Field(
        default=(), description="ports of this client that lead to targets behind the server"
    )
    nodes: tuple[NodeConfig, ...] = Field(
        default=(), description="addresses that this client leads to, for requests on an egress socket"
    )
    egress: EgressConfig | None = Field(
        default=None, description="an egress socket of this client, for nodes that clients of the same server announce"
    )
    mappings: tuple[MappingConfig, ...] = Field(
        default=(), validate_default=True, description="what to publish, and where"
    )
    tls: TlsClientConfig = Field(
        default=TlsClientConfig(), validate_default=True, description="TLS to the server"
    )
    dial_timeout: Annotated[float, DIAL_TIMEOUT] = Field(
        default=10.0,
        description="time a service has to accept a connection; the server gives up on a visitor after 15 s",
    )
    idle_legs: Annotated[int, IDLE_LEGS] = Field(
        default=2, description="idle legs kept for visitors of `forwards`, even if none has come for a while"
    )
    drain_timeout: Annotated[float, seconds(0, 86_400)] = Field(
        default=10.0, description="time visitors have to finish when the client stops"
    )
    heartbeat_interval: Annotated[float, seconds(0.1, 3600)] | None = Field(
        default=None, description="time between the client's pings; if not set, the server decides"
    )

    profile: Annotated[Profile, PROFILE] = Field(
        default="default",
        description="`kubernetes`: whatever the server says, ping every 5 seconds, give up a silent server after 15, "
        "retry at least every 5, and give up a silent leg after 18",
    )
    observers: Observers = Field(
        default=(), description="plugins that are told about each visitor: its arrival, its traffic, its end"
    )
    transport: Annotated[TransportConfig | None, ONE] = Field(
        default=None, description="plugin that carries the connections to the server, like `websocket`; if not set, TCP"
    )
    relay: RelayName = Field(default="auto", description=RELAY_WORDS)
    admin: Admin = Field(default=AdminConfig(), description="how operators query this client")
    usage: Usage = Field(default=UsageConfig(), description="history of traffic")

    v1: Annotated[bool, FLAG] = Field(
        default=False,
        description="speak version 1 of the protocol, to a Go server up to v1.0.0: no TLS, and the token travels in "
        "clear",
    )

    @field_validator("admin")
    @classmethod
    def _for_operators_alone(cls, admin: AdminConfig, info: ValidationInfo) -> AdminConfig:
        return secret_of_its_own(admin, [info.data.get("token")])

    @field_validator("tls")
    @classmethod
    def _proves_the_server(cls, tls: TlsClientConfig, info: ValidationInfo) -> TlsClientConfig:
        if info.data.get("bearer") and (tls.mode == "off" or (tls.ca is None and not tls.pin)):
            cure = "add ca: or pin: (`gotunnel pin` prints it on the server), or remove bearer"
            raise wrong("proves no server by its certificate, so bearer would show the token to anybody", cure)
        return tls

    @field_validator("v1")
    @classmethod
    def _can_be_done(cls, v1: bool, info: ValidationInfo) -> bool:
        parts = beyond_v1(info.data) if v1 else []
        if parts:
            raise several(parts)
        return v1

    @field_validator("servers")
    @classmethod
    def _few(cls, servers: tuple[HostPort, ...]) -> tuple[HostPort, ...]:
        if len(servers) > MOST_SERVERS:
            raise wrong(f"names {len(servers)} servers", f"name {MOST_SERVERS} at most")
        return servers

    @field_validator("server_addr")
    @classmethod
    def _one_way_to_say_it(cls, server: HostPort | None, info: ValidationInfo) -> HostPort | None:
        servers = info.data.get("servers")
        if server is None and servers == ():
            raise wrong("is missing", NO_SERVER)
        if server is not None and servers:
            raise wrong("cannot be combined with servers", "remove one of the two; servers can hold them all")
        return server

    @property
    def all_servers(self) -> tuple[HostPort, ...]:
        """The configured servers, at least one."""
        return self.servers if self.server_addr is None else (self.server_addr,)

    @field_validator("remote_port")
    @classmethod
    def _one_for_each(cls, remote: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        local = info.data.get("local_ports")
        if local is not None and not local:
            raise wrong("needs local_ports", "add local_ports; a mapping's port is its remote")
        if local is not None and len(local) != len(remote):
            what = f"names {_ports(len(remote))} for {_ports(len(local))} of local_ports"
            raise wrong(what, "write a list with one remote port for each local port")
        return remote

    @field_validator("forwards", mode="wrap")
    @classmethod
    def _forwards_differ(cls, value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        return with_parts(value, handler, forwards_that_collide(value))

    @field_validator("egress")
    @classmethod
    def _own_socket(cls, egress: EgressConfig | None, info: ValidationInfo) -> EgressConfig | None:
        if egress is not None and any(each.listen == egress.listen for each in info.data.get("forwards") or ()):
            raise several([(("listen",), f"a forward listens on {egress.listen}", "choose another one")])
        return egress

    @field_validator("nodes")
    @classmethod
    def _not_too_many(cls, nodes: tuple[NodeConfig, ...]) -> tuple[NodeConfig, ...]:
        count = len({name for node in nodes for name in node.match})
        if count > MOST_NODES:
            raise wrong(f"names {count} nodes", f"name {MOST_NODES} at most; one network stands for many addresses")
        return nodes

    @field_validator("mappings", mode="wrap")
    @classmethod
    def _complete(cls, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        local, remote = info.data.get("local_ports"), info.data.get("remote_port")
        first = [] if local is None or remote is None else published(local, remote)
        found = collisions(first, value)
        mappings = with_parts(value, handler, found)
        others = any(info.data.get(key, "what is refused there") for key in ("forwards", "nodes", "egress"))
        if not mappings and local == () and not others:
            raise wrong("there is nothing to publish", EXAMPLE)
        interval = info.data.get("health_check_interval")
        health = None if interval is None else HealthConfig(interval=interval)
        return tuple(mapping.or_probed(health) for mapping in (*first, *mappings))

    @property
    def pace(self) -> tuple[float | None, float]:
        """Seconds between pings (None: what the server says), and the longest silence of a server that counts as alive,
        if the server allows more. With it a dead path is noticed in time even if only this end is configured so."""
        if self.profile == "default":
            return self.heartbeat_interval, math.inf
        interval = self.heartbeat_interval or KUBERNETES["heartbeat"]
        return interval, max(KUBERNETES["heartbeat_timeout"], 3 * interval)

    @property
    def warnings(self) -> list[str]:
        """Valid but doubtful settings, one line each, without the file's name."""
        weak = tokens.warning(self.token.get_secret_value())
        found = [f"client.token: the token {weak}"] if weak else []
        if self.tls.mode == "off":
            unused = [key for key in ("ca", "cert") if getattr(self.tls, key) is not None]
            found += [f"client.tls.{key}: is not used, since client.tls.mode is off" for key in unused]
        if self.v1:
            found.append(
                "client.v1: the token and the visitors' bytes cross the network in clear; remove it once the "
                "server speaks version 2, and use a new token then"
            )
        return found


def _ports(number: int) -> str:
    return f"{number} port" if number == 1 else f"{number} ports"


class ClientFile(Section):
    """A file that is read for this section only: `gotunnel.config.file` has both, and both in memory."""

    client: ClientConfig | None = None

"""The `server:` section of a file: its keys, limits and defaults. Nothing here listens."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    Field,
    SecretStr,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

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
    TLS_MODE,
    LogFormat,
    LogLang,
    LogLevel,
    Profile,
    RelayName,
    TlsMode,
    belongs_to_cert,
)
from gotunnel.config.clients import IdentityConfig, same_names, token_warnings
from gotunnel.config.egress import ServerEgressConfig
from gotunnel.config.fields import DEFAULT_PORT, LegName, ListenAddress, PortRules, Token, UdpPortRules
from gotunnel.config.kinds import FLAG, Section, seconds, several, with_parts, wrong
from gotunnel.config.limits import LimitsConfig, PenaltiesConfig
from gotunnel.config.networks import Networks
from gotunnel.config.paths import ClientsFile, ReadableFile, TokenFile
from gotunnel.config.places import OWN_PORT, OWN_PORT_CURE, collide
from gotunnel.config.plugged import ONE, AccessConfig, AllocatorConfig, Authenticators, Listeners, Observers
from gotunnel.config.routes import DialRuleList, GroupPatterns, NodePatterns
from gotunnel.config.usage import Usage, UsageConfig
from gotunnel.config.v1 import OWN_CURE, V1ServerConfig, same_secret

__all__ = ["ServerConfig", "ServerFile", "TlsServerConfig"]

class TlsServerConfig(Section):
    """TLS on the port that clients connect to."""

    mode: Annotated[TlsMode, TLS_MODE] = Field(
        default="required",
        description="`required` refuses control connections without TLS; `off` uses no TLS, so anyone on the path can "
        "read everything",
    )
    cert: ReadableFile | None = Field(
        default=None,
        description="certificate chain in PEM; without it, the server makes its own certificate",
    )
    key: ReadableFile | None = Field(
        default=None, validate_default=True, description="private key of `cert`, in PEM"
    )

    client_ca: ReadableFile | None = Field(
        default=None,
        description="certificates in PEM, one of which must have signed the certificate of every client; this must "
        "have the client's name as a DNS name. If not set, clients need no certificate",
    )

    @field_validator("client_ca")
    @classmethod
    def _needs_tls(cls, client_ca: object, info: ValidationInfo) -> object:
        if client_ca is not None and info.data.get("mode") == "off":
            raise wrong("asks for certificates, and mode: off takes none", "set mode: required, or remove client_ca")
        return client_ca

    @field_validator("key")
    @classmethod
    def _belongs_to_cert(cls, key: object, info: ValidationInfo) -> object:
        return belongs_to_cert(key, info)


class ServerConfig(Section):
    """What a server needs to know."""

    role: ClassVar[Literal["server"]] = "server"

    addr: ListenAddress = Field(
        default=HostPort("0.0.0.0", DEFAULT_PORT),  # noqa: S104 - a server is there to be reached
        description="address and port for clients; mappings that name no address listen on the same address",
    )
    log_level: Annotated[LogLevel, LEVEL] = Field(default="info", description="lowest level that is logged")
    log_lang: Annotated[LogLang, LANG] = Field(default="en", description=LANG_WORDS)
    log_format: Annotated[LogFormat, FORMAT] = Field(default="text", description=FORMAT_WORDS)
    token: Token | None = Field(
        default=None,
        description="shared secret of all clients that are not in `clients` or `clients_file`; or use `token_file` or "
        "the variable GOTUNNEL_TOKEN. Without it, no other client gets in",
    )
    token_file: TokenFile | None = Field(
        default=None, description="file that holds the token and nothing else; only its owner may read it"
    )
    clients: tuple[IdentityConfig, ...] = Field(
        default=(), description="clients with a token and rights of their own"
    )
    clients_file: ClientsFile | None = Field(
        default=None,
        description="file with more such clients, read again whenever it changes; if not set, `clients.json` in the "
        "state folder",
    )
    authenticators: Authenticators = Field(
        default=(),
        description="plugins that let in further clients: by another clients file, by another token, or by judging the "
        "tokens that clients show (`client.bearer`), one plugin after the other",
    )
    access: Annotated[AccessConfig | None, ONE] = Field(
        default=None,
        description="plugin that has the last word on what clients publish and reach within their rights, and on each "
        "visitor",
    )
    tls: TlsServerConfig = Field(default=TlsServerConfig(), description="TLS on the port of `addr`")
    profile: Annotated[Profile, PROFILE] = Field(
        default="default",
        description="`kubernetes` changes defaults to suit nodes: heartbeat 5, heartbeat_timeout 15; and gives up a "
        "silent leg after 18 seconds",
    )
    heartbeat: Annotated[float, seconds(0.1, 3600)] = Field(default=10.0, description="time between pings")
    heartbeat_timeout: Annotated[float, seconds(0.2, 86_400)] = Field(
        default=30.0,
        validate_default=True,
        description="a client that is silent for this long counts as lost; must be more than `heartbeat`",
    )
    listeners: Listeners = Field(
        default=(), description="plugins that accept clients in addition to the port of `addr`, like `websocket`"
    )
    leg_name: LegName | None = Field(
        default=None,
        description="part of the TLS server name of legs, which then ends in `.NAME.legs.gotunnel`: a load balancer in "
        "front of several servers can tell by it which server a leg belongs to",
    )
    handshake_timeout: Annotated[float, seconds(0.1, 10)] = Field(
        default=5.0, description="time a new connection has to prove its token"
    )
    allow_ports: PortRules = Field(
        default=("1024-65535",), description="ports that clients may publish, unless an entry of `clients` has its own"
    )
    allow_udp_ports: UdpPortRules = Field(
        default=(),
        description="ports that clients may publish with `protocol: udp`, unless an entry of `clients` has its own; "
        "none if not set",
    )
    port_allocator: Annotated[AllocatorConfig | None, ONE] = Field(
        default=None,
        description="plugin that chooses the port for a mapping with `remote: 0`, within its rights; if not set, any "
        "free port",
    )
    allow_dial: DialRuleList = Field(
        default=(),
        description="targets that clients may reach through the server by `forwards`, unless an entry of `clients` has "
        "its own",
    )
    allow_nodes: NodePatterns = Field(
        default=(),
        description="nodes that clients may announce, unless an entry of `clients` has its own; none if not set",
    )
    allow_groups: GroupPatterns = Field(
        default=(),
        description="groups in which clients may publish (`group` of a mapping), unless an entry of `clients` has its "
        "own; none if not set",
    )
    egress: ServerEgressConfig | None = Field(
        default=None, description="socket on which kube-apiserver asks for nodes by HTTP CONNECT"
    )
    allow_plain_legs: Annotated[bool, FLAG] = Field(
        default=False, description="carry mappings with `encrypt: false` without TLS"
    )
    proxy_from: Networks = Field(
        default=(),
        description="networks of load balancers in front of public ports that name the visitor by HAProxy's PROXY "
        "protocol; a connection from there without the header is closed",
    )
    drain_timeout: Annotated[float, seconds(0, 86_400)] = Field(
        default=10.0, description="time visitors have to finish when the server stops"
    )
    leg_wait: Annotated[float, seconds(0.1, 300)] = Field(
        default=10.0, description="time that a visitor waits for a leg before it is closed"
    )
    idle_legs: Annotated[int, IDLE_LEGS] = Field(
        default=2,
        description="idle legs kept for each client, even if no visitor has come for a while: this many visitors at "
        "once then need not wait for a new leg",
    )
    limits: LimitsConfig = Field(default=LimitsConfig(), description="upper limits")
    penalties: PenaltiesConfig = Field(
        default=PenaltiesConfig(), description="refuse addresses with failed logins for a while"
    )
    observers: Observers = Field(
        default=(), description="plugins that are told about each visitor: its arrival, its traffic, its end"
    )
    relay: RelayName = Field(default="auto", description=RELAY_WORDS)
    admin: Admin = Field(default=AdminConfig(), description="how operators query this server")
    usage: Usage = Field(default=UsageConfig(), description="history of traffic")
    v1: V1ServerConfig = Field(
        default=V1ServerConfig(), description="clients of version 1 of the protocol (the Go gotunnel)"
    )

    @field_validator("listeners")
    @classmethod
    def _beside_each_other(cls, listeners: Listeners, info: ValidationInfo) -> Listeners:
        taken = [info.data.get("addr")]
        for number, listener in enumerate(listeners):
            place = getattr(listener.options, "listen", None)
            if collide(place, taken):
                raise several([((number, "listen"), OWN_PORT, OWN_PORT_CURE)])
            taken.append(place)
        return listeners

    @field_validator("admin")
    @classmethod
    def _for_operators_alone(cls, admin: AdminConfig, info: ValidationInfo) -> AdminConfig:
        listeners = info.data.get("listeners", ())
        if collide(admin.addr, [info.data.get("addr"), *(getattr(each.options, "listen", None) for each in listeners)]):
            raise several([(("addr",), OWN_PORT, OWN_PORT_CURE)])
        return secret_of_its_own(admin, _tokens_of_clients(info))

    @field_validator("tls")
    @classmethod
    def _shown_inside_tls(cls, tls: TlsServerConfig, info: ValidationInfo) -> TlsServerConfig:
        if tls.mode == "off" and any(each.shown for each in info.data.get("authenticators", ())):
            what = "leaves the tokens that clients show to the authenticators in clear"
            raise several([(("mode",), what, "set mode: required, or remove authenticators")])
        return tls

    @field_validator("v1")
    @classmethod
    def _secret_of_its_own(cls, v1: V1ServerConfig, info: ValidationInfo) -> V1ServerConfig:
        admin = info.data.get("admin", AdminConfig())
        if same_secret(v1, [*_tokens_of_clients(info), admin.token]):
            what = "is another token of this server too, and crosses the wire in clear"
            raise several([(("token",), what, OWN_CURE)])
        return v1

    @field_validator("clients", mode="wrap")
    @classmethod
    def _all_different(cls, value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        return with_parts(value, handler, same_names(value))

    @model_validator(mode="before")
    @classmethod
    def _profiled(cls, data: Any) -> Any:
        if isinstance(data, dict) and str(data.get("profile", "")).strip() == "kubernetes":
            return {**KUBERNETES, **data}
        return data

    @field_validator("heartbeat_timeout")
    @classmethod
    def _longer_than_heartbeat(cls, timeout: float, info: ValidationInfo) -> float:
        heartbeat = info.data.get("heartbeat")
        if heartbeat is not None and timeout <= heartbeat:
            cure = f"set heartbeat_timeout to three heartbeats, {3 * heartbeat:g}"
            raise wrong(f"{timeout:g} is not more than the heartbeat of {heartbeat:g} seconds", cure)
        return timeout

    @property
    def warnings(self) -> list[str]:
        """Valid but doubtful settings, one line each, without the file's name."""
        shared = None if self.token is None else self.token.get_secret_value()
        weak = None if shared is None else tokens.warning(shared)
        found = [f"server.token: the token {weak}"] if weak else []
        found += token_warnings(self.clients, shared)
        if self.tls.mode == "off" and self.tls.cert is not None:
            found.append("server.tls.cert: is not used, since server.tls.mode is off")
        if self.tls.client_ca is not None and self.v1.enabled:
            found.append("server.tls.client_ca: clients of version 1 (server.v1) have no TLS and get in without it")
        return found + self.v1.warnings


def _tokens_of_clients(info: ValidationInfo) -> list[SecretStr | None]:
    return [info.data.get("token"), *(token for client in info.data.get("clients", ()) for token in client.token)]


class ServerFile(Section):
    """A file that is read for this section only: `gotunnel.config.file` has both, and both in memory."""

    server: ServerConfig | None = None

"""The `server:` section of a file: its keys, their limits and defaults. Nothing here listens."""

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
        description="`required` refuses control connections without TLS; `off`: no TLS, so that whoever is on the "
        "path reads all of it",
    )
    cert: ReadableFile | None = Field(
        default=None,
        description="certificate chain in PEM; without it the server makes a certificate of its own",
    )
    key: ReadableFile | None = Field(
        default=None, validate_default=True, description="private key of `cert`, in PEM"
    )

    client_ca: ReadableFile | None = Field(
        default=None,
        description="certificates in PEM, one of which must have signed that of every client; the client's name must "
        "stand in it as a DNS name. Absent: clients need no certificate",
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
        description="where clients connect; its address is also where mappings listen that name no other",
    )
    log_level: Annotated[LogLevel, LEVEL] = Field(default="info", description="the least that is logged")
    log_lang: Annotated[LogLang, LANG] = Field(default="en", description=LANG_WORDS)
    log_format: Annotated[LogFormat, FORMAT] = Field(default="text", description=FORMAT_WORDS)
    token: Token | None = Field(
        default=None,
        description="the secret of all clients that are not in `clients` or `clients_file`; or `token_file`, or the "
        "variable GOTUNNEL_TOKEN; without it nobody else gets in",
    )
    token_file: TokenFile | None = Field(
        default=None, description="file that holds the token and nothing else; only its owner may read it"
    )
    clients: tuple[IdentityConfig, ...] = Field(
        default=(), description="clients with a token and rights of their own"
    )
    clients_file: ClientsFile | None = Field(
        default=None,
        description="file with more such clients, read again whenever it changes; `clients.json` in the state folder "
        "if absent",
    )
    authenticators: Authenticators = Field(
        default=(),
        description="plugins that say who else may come in: one more clients file, one more token, or who is asked, "
        "one after the other, about clients that show theirs (`client.bearer`)",
    )
    access: Annotated[AccessConfig | None, ONE] = Field(
        default=None,
        description="plugin that has the last word, within their rights, on what clients publish and reach, and on "
        "each visitor",
    )
    tls: TlsServerConfig = Field(default=TlsServerConfig(), description="TLS on the port of `addr`")
    profile: Annotated[Profile, PROFILE] = Field(
        default="default",
        description="`kubernetes` sets what the keys leave out to times that suit nodes: heartbeat 5, "
        "heartbeat_timeout 15; and gives a silent leg up after 18",
    )
    heartbeat: Annotated[float, seconds(0.1, 3600)] = Field(default=10.0, description="time between pings")
    heartbeat_timeout: Annotated[float, seconds(0.2, 86_400)] = Field(
        default=30.0,
        validate_default=True,
        description="a client that was silent for so long is gone; more than `heartbeat`",
    )
    listeners: Listeners = Field(
        default=(), description="plugins that take clients beside the port of `addr`, like `websocket`"
    )
    leg_name: LegName | None = Field(
        default=None,
        description="goes into the TLS server name of the legs, which then ends in `.NAME.legs.gotunnel`: a balancer "
        "in front of several servers tells by it whose a leg is",
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
        "none if absent",
    )
    port_allocator: Annotated[AllocatorConfig | None, ONE] = Field(
        default=None,
        description="plugin that says which port a mapping gets whose `remote` is 0, within its rights; any free one "
        "if absent",
    )
    allow_dial: DialRuleList = Field(
        default=(),
        description="what clients may reach through the server by `forwards`, unless an entry of `clients` has its own",
    )
    allow_nodes: NodePatterns = Field(
        default=(),
        description="nodes that clients may announce, unless an entry of `clients` has its own; none if absent",
    )
    allow_groups: GroupPatterns = Field(
        default=(),
        description="groups in which clients may publish (`group` of a mapping), unless an entry of `clients` has its "
        "own; none if absent",
    )
    egress: ServerEgressConfig | None = Field(
        default=None, description="a socket on which kube-apiserver asks for nodes, by HTTP CONNECT"
    )
    allow_plain_legs: Annotated[bool, FLAG] = Field(
        default=False, description="let mappings with `encrypt: false` travel without TLS"
    )
    proxy_from: Networks = Field(
        default=(),
        description="networks of balancers in front of public ports, that say whose connection they bring by the PROXY "
        "protocol of HAProxy; whoever comes from there without its header is closed",
    )
    drain_timeout: Annotated[float, seconds(0, 86_400)] = Field(
        default=10.0, description="time visitors have to finish when the server stops"
    )
    leg_wait: Annotated[float, seconds(0.1, 300)] = Field(
        default=10.0, description="time a visitor waits for a leg, then is closed"
    )
    idle_legs: Annotated[int, IDLE_LEGS] = Field(
        default=2,
        description="idle legs kept for each client's visitors, though none has come for a while: so many that come at "
        "once then need not wait until a leg is made",
    )
    limits: LimitsConfig = Field(default=LimitsConfig(), description="what may be used at most")
    penalties: PenaltiesConfig = Field(
        default=PenaltiesConfig(), description="addresses with failed logins are refused for a while"
    )
    observers: Observers = Field(
        default=(), description="plugins that are told of each visitor: when he comes, what he carries, how he ends"
    )
    relay: RelayName = Field(default="auto", description=RELAY_WORDS)
    admin: Admin = Field(default=AdminConfig(), description="how an operator asks this server how it is")
    usage: Usage = Field(default=UsageConfig(), description="the history of traffic")
    v1: V1ServerConfig = Field(
        default=V1ServerConfig(), description="clients of version 1 of the protocol, the Go gotunnel"
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
        if isinstance(data, dict) and str(data.get("profile", "")) == "kubernetes":
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
        """What is accepted and still doubtful, one line each, without the file's name."""
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

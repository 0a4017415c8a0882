"""One mapping in a client's section, and the checks between mappings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import Field, ModelWrapValidatorHandler, ValidationError, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from gotunnel.address import HostPort, is_wildcard
from gotunnel.config.atonce import told_at_once
from gotunnel.config.choices import PROTOCOL, PROXY_PROTOCOL, Protocol, ProxyProtocol
from gotunnel.config.datagrams import DEFAULT_IDLE, IDLE, amiss_with_udp
from gotunnel.config.fields import (
    MappingName,
    Remote,
    RemotePort,
    Target,
    read_mapping_name,
    read_remote,
    read_target,
)
from gotunnel.config.health import HealthConfig, OptionalHealth
from gotunnel.config.kinds import FLAG, Part, Section, read_of, several
from gotunnel.config.routes import ClientPatterns, GroupName

__all__ = ["MappingConfig", "collisions", "published"]


class MappingConfig(Section):
    """One service of the client's, published on the server."""

    name: MappingName = Field(
        default="",
        description="its name in logs and on the server; if not set, the address of `local`",
        examples=["kubelet"],
    )
    local: Target = Field(
        description="address of the service as seen from the client; a port alone is on 127.0.0.1",
        examples=["127.0.0.1:10250"],
    )
    remote: RemotePort = Field(
        description="where the server listens for it; a port alone is on the address of the server's `addr`",
        examples=[10250],
    )
    protocol: Annotated[Protocol, PROTOCOL] = Field(
        default="tcp",
        description="`udp` for a service that takes datagrams: each address that sends some is a flow, and a visitor. "
        "The server must allow the port (`allow_udp_ports`)",
    )
    idle: Annotated[float, IDLE] | None = Field(
        default=None,
        description="for `udp`: a flow ends when nothing has come in either direction for this long; if not set, 60 "
        "seconds. A few are enough for DNS",
    )
    public: Annotated[bool, FLAG] = Field(
        default=True,
        description="`false`: no port on the server; only the clients in `clients` can reach it, by their forwards",
    )
    clients: ClientPatterns = Field(
        default=(), description="other clients that may reach it through the server (`dial: mapping:…`)"
    )
    group: GroupName | None = Field(
        default=None,
        description="clients whose mappings have the same group share one port; a visitor goes to the client with the "
        "fewest. The server must allow it (`allow_groups`)",
        examples=["apiserver"],
    )
    encrypt: Annotated[bool, FLAG] = Field(
        default=True,
        description="`false` for traffic that is already TLS: no second TLS around it, if the server has "
        "`allow_plain_legs`",
    )
    proxy_protocol: Annotated[ProxyProtocol, PROXY_PROTOCOL] = Field(
        default="off",
        description="tell the service the visitor's address by HAProxy's PROXY protocol, ahead of the visitor's first "
        "byte; the service must expect this, and only from this client",
        examples=["v2"],
    )
    health: OptionalHealth = Field(
        default=None,
        description="how to check that the service is up: while it is down, the server's port is closed. If not set, "
        "nothing is probed",
    )

    @model_validator(mode="before")
    @classmethod
    def _without_port(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "public" not in data:
            return data
        try:
            public = FLAG.read(data["public"])
        except PydanticCustomError:
            return data  # the validation of `public` reports it
        if public:
            return data
        parts: list[Part] = []
        if "remote" in data:
            parts.append((("remote",), "has no meaning with public: false", "remove one of the two"))
        if data.get("group") is not None:
            parts.append((("group",), "is for the visitors of a port, and public: false leaves none", "remove it"))
        if not data.get("clients"):
            parts.append((("clients",), "nobody could reach this mapping", "name the clients that may: [worker-1]"))
        if parts:
            raise several(parts)
        return {**data, "remote": Remote(None, 0)}

    @model_validator(mode="before")
    @classmethod
    def _named_after_target(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "name" in data or "local" not in data:
            return data
        try:
            return {**data, "name": str(read_target(data["local"]))}
        except PydanticCustomError:
            return data  # the validation of `local` reports it

    @model_validator(mode="wrap")
    @classmethod
    def _all_at_once(cls, data: Any, handler: ModelWrapValidatorHandler[MappingConfig], info: ValidationInfo) -> Any:
        try:
            return handler(data)
        except ValidationError as error:
            raise told_at_once(cls, data, error, info.context, "protocol", {"local": 1, "remote": 0}) from None

    @model_validator(mode="after")
    def _fits_protocol(self) -> MappingConfig:
        parts = amiss_with_udp(self)
        if parts:
            raise several(parts)
        return self

    def or_probed(self, health: HealthConfig | None) -> MappingConfig:
        """Return this mapping, with `health` unless it has a `health` key of its own, even `false`. A UDP mapping
        cannot be probed by connecting, and stays as it is."""
        if self.protocol == "udp":
            return self
        return self if "health" in self.model_fields_set else self.model_copy(update={"health": health})

    @property
    def idle_time(self) -> float:
        """Seconds without a datagram after which a flow of `udp` ends."""
        return DEFAULT_IDLE if self.idle is None else self.idle

    @property
    def bind(self) -> str | None:
        """The server's address to listen on; None means the address of its own port."""
        return self.remote.bind

    @property
    def remote_port(self) -> int:
        """The server's port to listen on; 0 means any free port."""
        return self.remote.port


def published(local_ports: Iterable[int], remote_ports: Iterable[int]) -> list[MappingConfig]:
    """Return the mappings for `local_ports`; without `remote_ports` they keep their port numbers."""
    local = tuple(local_ports)
    pairs = zip(local, tuple(remote_ports) or local, strict=True)
    return [
        MappingConfig(local=HostPort("127.0.0.1", port), remote=Remote(None, remote))
        for port, remote in pairs
    ]


def collisions(first: list[MappingConfig], value: object) -> list[Part]:
    """Return a mistake for each item of `value` that repeats the name or port of an earlier item or of one in `first`.

    `value` is a list as in the file; its items may contain other mistakes as well.
    """
    parts: list[Part] = []
    names = {mapping.name for mapping in first}
    places = [_place(mapping) for mapping in first]
    for index, item in enumerate(value if isinstance(value, (list, tuple)) else ()):
        name, place = _name(item), _place(item)
        if name in names:
            parts.append(((index, "name"), f"another mapping is called {name!r}", "give it a name of its own"))
        protocol, remote = place
        if any(protocol == its and _overlap(other, remote) for its, other in places):
            parts.append(((index, "remote"), f"another mapping listens on {remote}", "choose another port"))
        names.update(() if name is None else (name,))
        places.append(place)
    return parts


def _name(item: Any) -> str | None:
    name: str | None = read_of(item, "name", read_mapping_name)
    if name is not None or not isinstance(item, dict) or "name" in item:
        return name
    local = read_of(item, "local", read_target)
    return None if local is None else str(local)


def _place(item: Any) -> tuple[str, Remote | None]:
    remote = None if read_of(item, "public", FLAG.read) is False else read_of(item, "remote", read_remote)
    return read_of(item, "protocol", PROTOCOL.read) or "tcp", remote


def _overlap(one: Remote | None, other: Remote | None) -> bool:
    if one is None or other is None or one.port != other.port or one.port == 0:
        return False
    if one.bind == other.bind:
        return True
    if one.bind is None or other.bind is None or (":" in one.bind) != (":" in other.bind):
        return False  # only the server can tell
    return is_wildcard(one.bind) or is_wildcard(other.bind)

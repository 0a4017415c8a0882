"""The `admin` group of both roles: where an operator can query a role. Nothing here listens."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from gotunnel.address import HostPort
from gotunnel.config.fields import Token
from gotunnel.config.kinds import FLAG, Kind, Section, Short, each, from_flag, several, text_of, wrong
from gotunnel.config.paths import TokenFile
from gotunnel.config.reading import listen_address
from gotunnel.config.routes import SocketPath
from gotunnel.config.scalars import shown

__all__ = ["Admin", "AdminConfig", "is_loopback", "secret_of_its_own"]

TOKEN_CURE = "name a token_file, made with `gotunnel token`, or listen on 127.0.0.1"  # noqa: S105 - words for a person


def is_loopback(address: HostPort) -> bool:
    """Return whether only this machine can reach the address."""
    return ipaddress.ip_address(address.host.partition("%")[0]).is_loopback


def _read_address(value: Any) -> HostPort:
    cure = 'write a port, which is on 127.0.0.1, or "ip:port" with an IP address of this machine'
    return listen_address(value, cure, "127.0.0.1")


def _read_hosts(value: Any) -> tuple[str, ...]:
    cure = 'write names of hosts, without ports, like "gotunnel.example.org"'

    def read(item: Any) -> str:
        name = str(text_of(item, "a host's name", cure)).lower()
        if not re.fullmatch(r"[a-z0-9]([a-z0-9._-]{0,251}[a-z0-9])?", name):
            raise wrong(f"{shown(item)} is not a host's name", cure)
        return name

    return each(value, read)


_ADDRESS = {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 65535}, {"type": "string"}]}
_TEXTS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
AdminAddress = Annotated[HostPort, Kind('port or "ip:port"', _read_address, json=_ADDRESS)]
HostNames = Annotated[tuple[str, ...], Kind("names of hosts", _read_hosts, list, _TEXTS)]


class AdminConfig(Section):
    """How an operator talks to a role that runs: `gotunnel status` and its like, health checks, metrics."""

    enabled: Annotated[bool, FLAG] = Field(
        default=True, description="`false`, or `admin: false`: no queries, not even on the socket"
    )
    socket: SocketPath | None = Field(
        default=None,
        description="the unix socket, which only root and the user of the process can open; if not set, in "
        "`$RUNTIME_DIRECTORY`, else in the state folder",
    )
    addr: AdminAddress | None = Field(
        default=None,
        description="additional address for queries by HTTP; a port alone is on loopback. If not set, there is none",
    )
    token: Token | None = Field(
        default=None,
        validate_default=True,
        description="secret that requests to `addr` must carry; or use `token_file`. Without it, `addr` must be on "
        "loopback and is read-only",
    )
    token_file: TokenFile | None = Field(
        default=None, description="file that holds this token and nothing else; only its owner may read it"
    )
    hosts: HostNames = Field(
        default=(), description="host names by which `addr` may be reached, in addition to IP addresses and localhost"
    )

    @field_validator("token")
    @classmethod
    def _needed_beyond_loopback(cls, token: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        addr = info.data.get("addr")
        if token is None and addr is not None and not is_loopback(addr):
            raise wrong(f"there is no token, but machines other than this one can reach {addr}", TOKEN_CURE)
        return token


def secret_of_its_own(admin: AdminConfig, others: Iterable[SecretStr | None]) -> AdminConfig:
    """Return the group if its token is none of `others`, the tokens of clients: it travels without TLS, and everything
    that scrapes metrics has it. Raises the error of `several` otherwise."""
    token = None if admin.token is None else admin.token.get_secret_value()
    if token is not None and any(other is not None and other.get_secret_value() == token for other in others):
        what = "is a token of clients too, and travels in clear where operators ask"
        cure = "make one with `gotunnel token`, for operators alone, and name its token_file"
        raise several([(("token",), what, cure)])
    return admin


Admin = Annotated[AdminConfig, Short("false or group", from_flag, {"type": "boolean"})]

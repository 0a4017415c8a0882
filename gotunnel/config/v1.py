"""The options of version 1, the protocol of the Go gotunnel, and the checks against the rest of a file. Nothing is
switched on here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from gotunnel.config import tokens
from gotunnel.config.fields import PortRules, Token
from gotunnel.config.kinds import FLAG, Part, Section, wrong
from gotunnel.config.paths import TokenFile

if TYPE_CHECKING:  # a server loads this module as well, and has no use for mappings
    from gotunnel.config.mapping import MappingConfig

__all__ = ["OWN_CURE", "SILENCE", "V1ServerConfig", "beyond_v1", "same_secret"]

SILENCE = 30.0
"""Seconds of silence after which a server of version 1 drops a client."""

OWN_CURE = "make one with `gotunnel token`, for the Go clients alone, and name it with token or token_file"


class V1ServerConfig(Section):
    """Go clients on this server."""

    enabled: Annotated[bool, FLAG] = Field(
        default=False,
        description="let in clients of version 1 (the Go gotunnel up to v1.0.0); their token and their visitors' data "
        "cross the network in clear",
    )
    token: Token | None = Field(
        default=None,
        validate_default=True,
        description="secret of Go clients, which must differ from every other token here; or use `token_file`",
    )
    token_file: TokenFile | None = Field(
        default=None, description="file that holds this token and nothing else; only its owner may read it"
    )
    allow_ports: PortRules = Field(default=("1024-65535",), description="ports that Go clients may publish")

    @field_validator("token")
    @classmethod
    def _needed(cls, token: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if token is None and info.data.get("enabled"):
            raise wrong("there is no token", OWN_CURE)
        return token

    @property
    def warnings(self) -> list[str]:
        """Valid but doubtful settings, one line each, without the file's name."""
        if not self.enabled or self.token is None:
            return []
        found = [
            "server.v1.enabled: the token and the visitors' bytes of Go clients cross the network in clear; set it to "
            "false once they are gone"
        ]
        weak = tokens.warning(self.token.get_secret_value())
        return [*found, f"server.v1.token: the token {weak}"] if weak else found


def same_secret(v1: V1ServerConfig | None, others: Iterable[SecretStr | None]) -> bool:
    """Return whether the token of version 1 is one of `others`. It crosses the network in clear, so version 2 could not
    prove anything with it."""
    if v1 is None or v1.token is None:
        return False
    secret = v1.token.get_secret_value()
    return any(other is not None and other.get_secret_value() == secret for other in others)


def beyond_v1(data: Mapping[str, Any]) -> list[Part]:
    """Return a mistake for each setting that version 1 does not support. `data` has the valid part of the section."""
    parts = _mappings_beyond(data.get("mappings", ()))
    if data.get("servers"):
        parts.append(((), "version 1 knows one server", "write server_addr in place of servers"))
    if data.get("forwards"):
        parts.append(((), "version 1 has no forwards", "remove forwards, or move the server to version 2"))
    if data.get("transport"):
        parts.append(((), "version 1 travels by TCP alone", "remove transport, or move the server to version 2"))
    tls, heartbeat = data.get("tls"), data.get("heartbeat_interval")
    if tls is not None and tls.model_fields_set and (tls.mode != "off" or tls.model_fields_set != {"mode"}):
        parts.append(((), "version 1 has no TLS, and tls stands beside it", "remove tls, or v1"))
    if heartbeat is not None and heartbeat >= SILENCE:
        what = f"a heartbeat_interval of {heartbeat:g} is too long: a server of version 1 waits {SILENCE:g} seconds"
        parts.append(((), what, "remove heartbeat_interval"))
    return parts


def _mappings_beyond(mappings: Iterable[MappingConfig]) -> list[Part]:
    parts: list[Part] = []
    for mapping in mappings:
        wants = f"version 1 cannot do what the mapping {mapping.name!r} wants"
        if not mapping.public or mapping.clients:
            parts.append(((), f"{wants}: to be reached by other clients", "remove public and clients"))
            continue
        if mapping.protocol != "tcp":
            parts.append(((), f"{wants}: to carry datagrams", "remove protocol, or move the server to version 2"))
            continue
        if mapping.group is not None:
            parts.append(((), f"{wants}: to share its port in a group", "remove group"))
        if mapping.bind is not None:
            parts.append(((), f"{wants}: to listen on {mapping.bind}", "write its remote port alone"))
        if mapping.remote_port == 0:
            parts.append(((), f"{wants}: any free port", "write its remote port"))
        if "encrypt" in mapping.model_fields_set and mapping.encrypt:
            parts.append(((), f"{wants}: encrypt", "remove encrypt, since version 1 has no TLS"))
    return parts

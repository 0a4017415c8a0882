"""The `client.tls` group of a file: how a client verifies its server, and identifies itself."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from gotunnel.config.choices import TLS_MODE, TlsMode, belongs_to_cert
from gotunnel.config.fields import ServerName
from gotunnel.config.kinds import Section, wrong
from gotunnel.config.paths import ReadableFile
from gotunnel.config.pins import Pins

__all__ = ["TlsClientConfig"]


class TlsClientConfig(Section):
    """TLS to the server. A client never falls back to a connection without it."""

    mode: Annotated[TlsMode, TLS_MODE] = Field(
        default="required", description="must be the same as the server's"
    )
    ca: ReadableFile | None = Field(
        default=None,
        description="certificates in PEM, one of which must have signed the server's certificate; without it, the "
        "token alone proves the server",
    )
    server_name: ServerName | None = Field(
        default=None,
        description="name that the server's certificate must have; if not set, its host in `server_addr` or `servers`",
    )
    pin: Pins = Field(
        default=(),
        description="pins of the server's key, as `gotunnel pin` prints them; one that matches is enough. Without "
        "`ca`, the name and dates of the certificate then do not matter",
    )
    cert: ReadableFile | None = Field(
        default=None,
        description="this client's own certificate chain in PEM, for a server with `client_ca`",
    )
    key: ReadableFile | None = Field(
        default=None, validate_default=True, description="private key of `cert`, in PEM"
    )

    @field_validator("pin")
    @classmethod
    def _needs_tls(cls, pin: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if pin and info.data.get("mode") == "off":
            raise wrong("pins a key where mode: off shows none", "set mode: required, or remove pin")
        return pin

    @field_validator("key")
    @classmethod
    def _belongs_to_cert(cls, key: object, info: ValidationInfo) -> object:
        return belongs_to_cert(key, info)

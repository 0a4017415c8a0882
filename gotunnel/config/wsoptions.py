"""The options of both ends of WebSockets. Nothing here connects or listens."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import Field, ValidationInfo, field_validator

from gotunnel.address import HostPort, parse_host_port
from gotunnel.config.choices import belongs_to_cert
from gotunnel.config.kinds import FLAG, Kind, Section, seconds, text_of, wrong
from gotunnel.config.networks import Networks
from gotunnel.config.paths import ReadableFile, TokenFile
from gotunnel.config.reading import listen_address, parsed
from gotunnel.config.scalars import shown

__all__ = ["WebSocketListenerOptions", "WebSocketOptions"]

_PORT = {"anyOf": [{"type": "integer"}, {"type": "string"}]}


def _read_path(value: Any) -> str:
    cure = 'write a path of the web, like "/gotunnel"'
    path = str(text_of(value, "a path", cure))
    if not re.fullmatch(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/-]{0,255}", path):
        raise wrong(f"{shown(value)} is not a path of the web", cure)
    return path


def _read_proxy(value: Any) -> HostPort:
    cure = 'write host and port of the proxy, like "proxy.example.com:3128"'
    if isinstance(value, HostPort):
        return value
    if isinstance(value, str) and "@" in value:
        raise wrong("has a login in it", "name a file with user:password as proxy_login, and host and port alone here")
    if isinstance(value, str):
        value = value.removeprefix("http://").rstrip("/")
    found = parsed(value, "a proxy", cure, parse_host_port)
    assert isinstance(found, HostPort)
    return found


def _read_host(value: Any) -> str:
    cure = 'write a name, like "tunnel.example.com"'
    name = str(text_of(value, "a host's name", cure)).lower()
    if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", name):
        raise wrong(f"{shown(value)} is not a host's name", cure)
    return name


def _read_listen(value: Any) -> HostPort:
    cure = 'write a port, or "ip:port" with an IP address of this machine, like "0.0.0.0:443"'
    return listen_address(value, cure, "0.0.0.0", zero=True)  # noqa: S104 - a port alone: documented


WebPath = Annotated[str, Kind("path of the web", _read_path)]
Proxy = Annotated[HostPort, Kind('"host:port"', _read_proxy)]
Host = Annotated[str, Kind("name of a host", _read_host)]
Listen = Annotated[HostPort, Kind('port or "ip:port"', _read_listen, json=_PORT)]


class WebSocketOptions(Section):
    """How a client gets there."""

    path: WebPath = Field(default="/gotunnel", description="path that the server's listener answers to")
    tls: Annotated[bool, FLAG] = Field(
        default=True, description="TLS around the WebSocket (wss), in addition to gotunnel's own inside it"
    )
    ca: ReadableFile | None = Field(
        default=None,
        description="certificates against which the certificate of the WebSocket is checked; if not set, those of the "
        "system",
    )
    host: Host | None = Field(
        default=None,
        description="name for the certificate and the Host header; if not set, the name by which the server is "
        "configured",
    )
    proxy: Proxy | None = Field(default=None, description="HTTP proxy to go through, by CONNECT")
    proxy_login: TokenFile | None = Field(
        default=None, description="file with user:password for the proxy; only its owner may read it"
    )
    ping: Annotated[float, seconds(0, 3600)] = Field(
        default=25.0,
        description="time between pings, so that no proxy takes a silent connection for a dead one; 0: none",
    )


class WebSocketListenerOptions(Section):
    """Where a server listens for it."""

    listen: Listen = Field(description="where to listen; a port alone is on all addresses")
    path: WebPath = Field(default="/gotunnel", description="path that it answers to; it answers all others with 404")
    cert: ReadableFile | None = Field(
        default=None,
        description="certificate in PEM for TLS around the WebSocket; without it, a proxy has to provide TLS",
    )
    key: ReadableFile | None = Field(default=None, validate_default=True, description="its private key")
    trust: Networks = Field(
        default=(),
        description="proxies whose X-Forwarded-For header gives the client's address; limits and penalties use that "
        "address",
    )

    @field_validator("key")
    @classmethod
    def _both(cls, key: object, info: ValidationInfo) -> object:
        return belongs_to_cert(key, info)

"""The models of a configuration, in one place to import from: File and its parts. Each is loaded on first use, since a
server has no use for the models of a client, nor a client for those of a server. `gotunnel.config.load` reads files."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gotunnel.config.admin import AdminConfig
    from gotunnel.config.client import ClientConfig
    from gotunnel.config.clienttls import TlsClientConfig
    from gotunnel.config.egress import EgressConfig, NodeConfig, ServerEgressConfig
    from gotunnel.config.fields import Remote
    from gotunnel.config.file import File
    from gotunnel.config.forward import ForwardConfig
    from gotunnel.config.health import HealthConfig
    from gotunnel.config.limits import LimitsConfig, PenaltiesConfig
    from gotunnel.config.mapping import MappingConfig
    from gotunnel.config.server import ServerConfig, TlsServerConfig
    from gotunnel.config.usage import UsageConfig
    from gotunnel.config.v1 import V1ServerConfig

__all__ = [
    "AdminConfig",
    "ClientConfig",
    "EgressConfig",
    "File",
    "ForwardConfig",
    "HealthConfig",
    "LimitsConfig",
    "MappingConfig",
    "NodeConfig",
    "PenaltiesConfig",
    "Remote",
    "ServerConfig",
    "ServerEgressConfig",
    "TlsClientConfig",
    "TlsServerConfig",
    "UsageConfig",
    "V1ServerConfig",
]

_HOMES = {
    "AdminConfig": "admin",
    "ClientConfig": "client",
    "EgressConfig": "egress",
    "File": "file",
    "ForwardConfig": "forward",
    "HealthConfig": "health",
    "LimitsConfig": "limits",
    "MappingConfig": "mapping",
    "NodeConfig": "egress",
    "PenaltiesConfig": "limits",
    "Remote": "fields",
    "ServerConfig": "server",
    "ServerEgressConfig": "egress",
    "TlsClientConfig": "clienttls",
    "TlsServerConfig": "server",
    "UsageConfig": "usage",
    "V1ServerConfig": "v1",
}
"""The module of each model."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(name, name=name)
    found = globals()[name] = getattr(import_module(f"gotunnel.config.{_HOMES[name]}"), name)
    return found

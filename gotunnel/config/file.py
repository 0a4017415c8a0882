"""A whole configuration file: both sections, and the checks between them. Not needed to read one section alone."""

from __future__ import annotations

from pydantic import Field, ValidationInfo, field_validator

from gotunnel.address import HostPort, is_wildcard
from gotunnel.config.client import ClientConfig
from gotunnel.config.kinds import Section, several
from gotunnel.config.server import ServerConfig
from gotunnel.config.v1 import same_secret
from gotunnel.errors import Sentence

__all__ = ["File"]


class File(Section):
    """One configuration file. A role that the file has no section for is None."""

    server: ServerConfig | None = Field(default=None, description="what `gotunnel-server` reads")
    client: ClientConfig | None = Field(default=None, description="what `gotunnel-client` reads")

    @field_validator("client")
    @classmethod
    def _no_secret_of_v1(cls, client: ClientConfig | None, info: ValidationInfo) -> ClientConfig | None:
        server = info.data.get("server")
        if client is not None and server is not None and not client.v1 and same_secret(server.v1, [client.token]):
            cure = "use the server's other token: that of version 1 crosses the wire in clear"
            raise several([(("token",), "is server.v1.token", cure)])
        return client

    @property
    def warnings(self) -> list[str]:
        """Valid but doubtful settings, one line each, without the file's name."""
        sections = (self.server, self.client)
        lines = [line for section in sections if section is not None for line in section.warnings]
        if self.server is not None and self.client is not None:
            lines += _loops(self.server, self.client)
        return lines


def _loops(server: ServerConfig, client: ClientConfig) -> list[str]:
    """Return warnings for mappings whose service is the very port that the server of the same file opens for them."""
    here = [each for each in client.all_servers if each.port == server.addr.port and _is_here(each.host, server)]
    if not here:
        return []
    found: list[str] = []
    for index, mapping in enumerate(client.mappings):
        local, bind = mapping.local, server.addr.host if mapping.bind is None else mapping.bind
        if not isinstance(local, HostPort) or local.port != mapping.remote_port:
            continue
        if local.host == bind or (is_wildcard(bind) and _is_here(local.host, server)):
            found.append(Sentence(
                "client.mappings[{index}]: {local} would be published on its own port of this machine; choose another "
                "remote port",
                index=index, local=local,
            ))  # fmt: skip
    return found


def _is_here(host: str, server: ServerConfig) -> bool:
    return host in ("localhost", "::1", server.addr.host) or host.startswith("127.")

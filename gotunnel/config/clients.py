"""A client of a server in a configuration: its rights, and in `server.clients` its name and token as well. Nothing is
decided here; absent keys take the server's values."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gotunnel.config import tokens
from gotunnel.config.fields import (
    BindAddresses,
    ClientName,
    PortRules,
    Tokens,
    UdpPortRules,
    read_client_name,
)
from gotunnel.config.kinds import FLAG, Part, Section, count, read_of
from gotunnel.config.paths import TokenFile
from gotunnel.config.routes import DialRuleList, GroupPatterns, NodePatterns

__all__ = ["ClientLimitsConfig", "IdentityConfig", "RightsConfig", "same_names", "token_warnings"]


class ClientLimitsConfig(Section):
    """What one client may use at most, where that is not what `server.limits` says."""

    mappings: Annotated[int, count(1, 65_535)] | None = Field(
        default=None, description="number of its mappings; if not set, as in `server.limits`"
    )
    legs: Annotated[int, count(1, 1_000_000)] | None = Field(
        default=None, description="number of its legs; if not set, as in `server.limits`"
    )
    visitors: Annotated[int, count(1, 1_000_000)] | None = Field(
        default=None, description="number of its visitors at a time; if not set, as in `server.limits`"
    )
    pending: Annotated[int, count(1, 1_000_000)] | None = Field(
        default=None, description="number of its visitors that wait for a leg; if not set, as in `server.limits`"
    )


class RightsConfig(Section):
    """The rights of one client, wherever they are written."""

    allow_ports: PortRules | None = Field(
        default=None, description="ports that it may publish, instead of those of `server.allow_ports`"
    )
    allow_udp_ports: UdpPortRules | None = Field(
        default=None, description="ports that it may publish for UDP, instead of those of `server.allow_udp_ports`"
    )
    allow_bind: BindAddresses | None = Field(
        default=None, description="addresses of the server that its mappings may listen on; any if not set"
    )
    allow_dial: DialRuleList | None = Field(
        default=None, description="targets that its forwards may reach, instead of those of `server.allow_dial`"
    )
    allow_nodes: NodePatterns | None = Field(
        default=None, description="nodes that it may announce, instead of those of `server.allow_nodes`"
    )
    allow_groups: GroupPatterns | None = Field(
        default=None, description="groups that it may publish in, instead of those of `server.allow_groups`"
    )
    limits: ClientLimitsConfig = Field(
        default=ClientLimitsConfig(), description="its limits, where they differ from `server.limits`"
    )
    disabled: Annotated[bool, FLAG] = Field(
        default=False, description="keep the client out; its name stays taken"
    )


class IdentityConfig(RightsConfig):
    """A client with a token of its own, as a server's file has it. `token` holds one or two, also those of a file."""

    name: ClientName = Field(description="the client's name; the shared `server.token` does not let it in")
    token: Tokens = Field(
        description="its own secret, or a list of two while one replaces the other, both valid; or use `token_file`"
    )
    token_file: TokenFile | None = Field(
        default=None,
        description="file that holds its token, or two tokens, one per line, and nothing else; only its owner may read "
        "it",
    )


def same_names(value: object) -> list[Part]:
    """Return a mistake for each repeated name in `value`, a list as in the file, whatever else is wrong with its
    items."""
    first: dict[str, int] = {}
    parts: list[Part] = []
    for index, item in enumerate(value if isinstance(value, (list, tuple)) else ()):
        name = read_of(item, "name", read_client_name)
        if name is not None and first.setdefault(name, index) != index:
            what = f"{name} is the name of clients[{first[name]}] already"
            parts.append(((index, "name"), what, "give each client a name of its own"))
    return parts


def token_warnings(clients: tuple[IdentityConfig, ...], shared: str | None) -> list[str]:
    """Return a line for each doubtful token, and for each token used by several names. `shared` is the server's
    token."""
    holders: dict[str, str] = {} if shared is None else {shared: "server.token"}
    found: list[str] = []
    for index, client in enumerate(clients):
        for secret in dict.fromkeys(token.get_secret_value() for token in client.token):
            key = f"server.clients[{index}].token"
            weak = tokens.warning(secret)
            if weak:
                found.append(f"{key}: the token of {client.name} {weak}")
            holder = holders.setdefault(secret, client.name)
            if holder != client.name:
                found.append(
                    f"{key}: the token of {client.name} is that of {holder} too: whoever holds it can pose as both, "
                    "and as the server to both; make another with `gotunnel token`"
                )
    return found

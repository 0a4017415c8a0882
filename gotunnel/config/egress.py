"""The egress socket of either role, and the nodes that a client leads to."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gotunnel.config.fields import PortRules
from gotunnel.config.kinds import Section, choice
from gotunnel.config.routes import FileMode, NodeHost, NodeList, SocketMode, SocketPath

__all__ = ["EgressConfig", "NodeConfig", "ServerEgressConfig"]


class EgressConfig(Section):
    """Where kube-apiserver, or another program that speaks HTTP CONNECT, asks to be led to nodes."""

    listen: SocketPath = Field(
        description="the unix socket that EgressSelectorConfiguration names",
        examples=["unix:/run/gotunnel/egress.sock"],
    )
    socket_mode: SocketMode = Field(
        default=FileMode(0o600), description="who may connect to the socket: the mode of its file"
    )


EgressDefault = Literal["refuse", "direct"]


class ServerEgressConfig(EgressConfig):
    """The same at the server, which may dial what no client leads to."""

    default: Annotated[EgressDefault, choice("refuse", "direct")] = Field(
        default="refuse",
        description="what becomes of a request for what no client announces; `direct`: the server dials it",
    )


class NodeConfig(Section):
    """Addresses that this client leads to, for who asks on an egress socket."""

    match: NodeList = Field(
        description="what is asked for: addresses, networks, names; the server must allow them (`allow_nodes`)",
        examples=["10.0.0.11"],
    )
    allow_ports: PortRules = Field(description="ports that may be reached there", examples=[10250])
    dial: NodeHost | None = Field(
        default=None, description="host that is dialled instead, such as 127.0.0.1; the one asked for if absent"
    )

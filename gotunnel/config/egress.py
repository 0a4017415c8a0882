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
        default=FileMode(0o600), description="mode of the socket's file: who may connect to it"
    )


EgressDefault = Literal["refuse", "direct"]


class ServerEgressConfig(EgressConfig):
    """The same at the server, which may dial what no client leads to."""

    default: Annotated[EgressDefault, choice("refuse", "direct")] = Field(
        default="refuse",
        description="what to do with a request for a target that no client announces; `direct`: the server dials it "
        "itself",
    )


class NodeConfig(Section):
    """Addresses that this client connects to, on request of an egress socket."""

    match: NodeList = Field(
        description="addresses, networks and names of nodes, as they are asked for; the server must allow them "
        "(`allow_nodes`)",
        examples=["10.0.0.11"],
    )
    allow_ports: PortRules = Field(description="ports that may be reached there", examples=[10250])
    dial: NodeHost | None = Field(
        default=None, description="host to dial instead, such as 127.0.0.1; if not set, the one that is asked for"
    )

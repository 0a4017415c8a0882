"""One forward of a client's section: a port of the client's that leads through the server, and what must hold between
forwards."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from gotunnel.address import HostPort, UnixPath
from gotunnel.config.choices import PROXY_PROTOCOL, ProxyProtocol
from gotunnel.config.fields import MappingName
from gotunnel.config.kinds import FLAG, Part, Section, several
from gotunnel.config.routes import DialTarget, FileMode, ForwardListen, SocketMode, read_forward_listen
from gotunnel.dialrules import MappingTarget

__all__ = ["ForwardConfig", "check_forwards"]


class ForwardConfig(Section):
    """A port of the client's network; whoever connects there reaches something behind the server."""

    name: MappingName = Field(
        default="", description="what logs call it; the address of `listen` if absent", examples=["apiserver"]
    )
    listen: ForwardListen = Field(
        description="where the client listens; a port alone is on 127.0.0.1", examples=["10.0.0.5:6443"]
    )
    dial: DialTarget = Field(
        description="what is reached, seen from the server, or another client's mapping; the server must allow it "
        "(`allow_dial`)",
        examples=["127.0.0.1:6443"],
    )
    encrypt: Annotated[bool, FLAG] = Field(
        default=True,
        description="`false` for what is TLS already: no second TLS around it, if the server has `allow_plain_legs`",
    )
    proxy_protocol: Annotated[ProxyProtocol, PROXY_PROTOCOL] = Field(
        default="off",
        description="tell what is reached the visitor's address by the PROXY protocol of HAProxy, ahead of his first "
        "byte; it must expect that",
    )
    socket_mode: SocketMode = Field(
        default=FileMode(0o600), description="who may connect to a unix socket: the mode of its file"
    )

    @model_validator(mode="before")
    @classmethod
    def _named_after_listen(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "name" in data or "listen" not in data:
            return data
        try:
            return {**data, "name": str(read_forward_listen(data["listen"]))}
        except PydanticCustomError:
            return data  # `listen` itself says why

    @model_validator(mode="after")
    def _sealed(self) -> ForwardConfig:
        if isinstance(self.dial, MappingTarget) and not self.encrypt:
            raise several(
                [(("encrypt",), "cannot be false for a mapping of another client", "remove it; those legs use TLS")]
            )
        return self


def check_forwards(forwards: tuple[ForwardConfig, ...]) -> None:
    """Raise the error of `several` for names and addresses that stand twice."""
    parts: list[Part] = []
    for index, forward in enumerate(forwards):
        earlier = forwards[:index]
        if any(other.name == forward.name for other in earlier):
            parts.append(((index, "name"), f"another forward is called {forward.name!r}", "give it a name of its own"))
        if any(_same_place(other.listen, forward.listen) for other in earlier):
            parts.append(((index, "listen"), f"another forward listens on {forward.listen}", "choose another one"))
    if parts:
        raise several(parts)


def _same_place(one: HostPort | UnixPath, other: HostPort | UnixPath) -> bool:
    return one == other and not (isinstance(one, HostPort) and one.port == 0)


"""One forward in a client's section, which leads from a port of the client through the server, and the checks between
forwards."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, ModelWrapValidatorHandler, ValidationError, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from gotunnel.address import HostPort
from gotunnel.config.atonce import told_at_once
from gotunnel.config.choices import PROXY_PROTOCOL, ProxyProtocol
from gotunnel.config.fields import MappingName, read_mapping_name
from gotunnel.config.kinds import FLAG, Part, Section, read_of, several
from gotunnel.config.routes import DialTarget, FileMode, ForwardListen, SocketMode, read_forward_listen
from gotunnel.dialrules import MappingTarget

__all__ = ["ForwardConfig", "forwards_that_collide"]


class ForwardConfig(Section):
    """A port of the client's network; whoever connects there reaches something behind the server."""

    name: MappingName = Field(
        default="", description="its name in logs; if not set, the address of `listen`", examples=["apiserver"]
    )
    listen: ForwardListen = Field(
        description="where the client listens; a port alone is on 127.0.0.1", examples=["10.0.0.5:6443"]
    )
    dial: DialTarget = Field(
        description="the target as seen from the server, or another client's mapping; the server must allow it "
        "(`allow_dial`)",
        examples=["127.0.0.1:6443"],
    )
    encrypt: Annotated[bool, FLAG] = Field(
        default=True,
        description="`false` for traffic that is already TLS: no second TLS around it, if the server has "
        "`allow_plain_legs`",
    )
    proxy_protocol: Annotated[ProxyProtocol, PROXY_PROTOCOL] = Field(
        default="off",
        description="tell the target the visitor's address by HAProxy's PROXY protocol, ahead of the visitor's first "
        "byte; the target must expect this",
    )
    socket_mode: SocketMode = Field(
        default=FileMode(0o600), description="mode of a unix socket's file: who may connect to it"
    )

    @model_validator(mode="before")
    @classmethod
    def _named_after_listen(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "name" in data or "listen" not in data:
            return data
        try:
            return {**data, "name": str(read_forward_listen(data["listen"]))}
        except PydanticCustomError:
            return data  # the validation of `listen` reports it

    @model_validator(mode="wrap")
    @classmethod
    def _all_at_once(cls, data: Any, handler: ModelWrapValidatorHandler[ForwardConfig], info: ValidationInfo) -> Any:
        try:
            return handler(data)
        except ValidationError as error:
            raise told_at_once(cls, data, error, info.context, "dial", {"listen": 0}) from None

    @model_validator(mode="after")
    def _sealed(self) -> ForwardConfig:
        if isinstance(self.dial, MappingTarget) and not self.encrypt:
            raise several(
                [(("encrypt",), "cannot be false for a mapping of another client", "remove it; those legs use TLS")]
            )
        return self


def forwards_that_collide(value: object) -> list[Part]:
    """Return a mistake for each item of `value`, a list as in the file, that repeats the name or address of an earlier
    one, whatever else is wrong with them."""
    parts: list[Part] = []
    names: set[str] = set()
    places: set[object] = set()
    for index, item in enumerate(value if isinstance(value, (list, tuple)) else ()):
        listen = read_of(item, "listen", read_forward_listen)
        name = read_of(item, "name", read_mapping_name)
        if name is None and listen is not None and "name" not in item:
            name = str(listen)
        if name in names:
            parts.append(((index, "name"), f"another forward is called {name!r}", "give it a name of its own"))
        if listen in places:
            parts.append(((index, "listen"), f"another forward listens on {listen}", "choose another one"))
        names.update(() if name is None else (name,))
        if listen is not None and not (isinstance(listen, HostPort) and listen.port == 0):
            places.add(listen)
    return parts


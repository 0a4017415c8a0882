"""What both sections of a file share: the choices of a few keys, and the check that a key belongs to its
certificate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import GetCoreSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, core_schema

from gotunnel.config.kinds import Kind, choice, count, wrong
from gotunnel.config.plugged import RelayConfig

__all__ = [
    "FORMAT", "FORMAT_WORDS", "IDLE_LEGS", "KUBERNETES", "LANG", "LANG_WORDS", "LEVEL", "PROFILE", "PROTOCOL",
    "PROXY_PROTOCOL", "RELAY_WORDS", "TLS_MODE", "LogFormat", "LogLang", "LogLevel", "Profile", "Protocol",
    "ProxyProtocol", "RelayName", "TlsMode", "belongs_to_cert",
]  # fmt: skip

LEVEL = choice("debug", "info", "warn", "error")
LANG = choice("en", "zh")
LANG_WORDS = "language of the log; JSON stays English"
FORMAT = choice("text", "json")
FORMAT_WORDS = "format of the log; `--log-format` overrides it"
TLS_MODE = choice("required", "off")

LogLevel = Literal["debug", "info", "warn", "error"]
LogLang = Literal["en", "zh"]
LogFormat = Literal["text", "json"]
TlsMode = Literal["required", "off"]

ProxyProtocol = Literal["off", "v1", "v2"]
PROXY_PROTOCOL = choice("off", "v1", "v2")

Protocol = Literal["tcp", "udp"]
PROTOCOL = choice("tcp", "udp")

Profile = Literal["default", "kubernetes"]
PROFILE = choice("default", "kubernetes")
KUBELET = 10250
"""The port of a kubelet. Its certificate is not verified unless somebody configures that."""

KUBERNETES = {"heartbeat": 5.0, "heartbeat_timeout": 15.0}
"""A node is marked NotReady after 40 s: a dead path must be noticed and replaced well before that."""
IDLE_LEGS = count(0, 64)
"""The most that a pool keeps (protocol, section 5)."""
_RELAYS = ("auto", "portable", "fast", "native")
"""The built-in relays."""


def _read_relay(value: Any, info: ValidationInfo) -> str | RelayConfig:
    if isinstance(value, RelayConfig):
        return value
    if isinstance(value, str) and value.strip() in _RELAYS:
        return value.strip()
    # Only the plugins of others have options here.
    found = RelayConfig.parts(value, info.context, ("auto",))
    return str(found["plugin"]) if found["plugin"] in _RELAYS else RelayConfig.model_construct(**found)


@dataclass(frozen=True, eq=False)
class _RelayKind(Kind):
    """The kind of `relay`: a built-in word, or a plugin with options, for which it needs pydantic's context."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        write = core_schema.plain_serializer_function_ser_schema(self.write)
        return core_schema.with_info_plain_validator_function(_read_relay, serialization=write)


_RELAY = _RelayKind("auto, portable, fast, native, or a plugin", str, json={"type": ["string", "object"]})
if TYPE_CHECKING:
    RelayName = str | RelayConfig
else:
    RelayName = Annotated[Any, _RELAY]  # a simple type, so that the reference has one row for it
RELAY_WORDS = (
    "how bytes are moved: `auto` is `native` where it was built, else `fast` where it can run (Linux), else "
    "`portable`; or a plugin (`gotunnel plugins`)"
)


def belongs_to_cert(key: object, info: ValidationInfo) -> object:
    """Return `key` if it and `cert` are both set or both absent. Raises the error of `wrong`."""
    if key is None and info.data.get("cert") is not None:
        raise wrong("is missing beside cert", "add key: with the private key of that certificate")
    if key is not None and "cert" in info.data and info.data["cert"] is None:
        raise wrong("needs cert", "add cert: with the certificate of that key")
    return key

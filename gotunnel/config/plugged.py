"""Keys whose value is a plugin: its name, with its options beside it. Does not know which plugins there are."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field, GetJsonSchemaHandler, ValidationInfo, model_validator
from pydantic_core import CoreSchema, PydanticCustomError

from gotunnel.config.kinds import Kind, Section, Short, parts_of, several, sort, wrong
from gotunnel.config.plugins import HIDDEN, find_plugin, read_options
from gotunnel.config.source import BROKEN

__all__ = [
    "ONE", "AccessConfig", "AllocatorConfig", "AuthenticatorConfig", "Authenticators", "Listeners", "ObserverConfig",
    "Observers", "PluginConfig", "RelayConfig", "TransportConfig",
]  # fmt: skip


class PluginConfig(Section):
    """One plugin of one of `kinds`, which `gotunnel plugins` lists under these words; `noun` is what messages call
    several. `kind` is the word for the one that it is."""

    kinds: ClassVar[tuple[str, ...]]
    noun: ClassVar[str]

    plugin: Annotated[str, Kind("name of a plugin", str)] = Field(
        description="name of the plugin; its options go beside this key (`gotunnel plugins`)"
    )
    options: Annotated[Section | None, HIDDEN] = None
    kind: Annotated[str, HIDDEN] = ""

    @model_validator(mode="before")
    @classmethod
    def _validated(cls, data: Any, info: ValidationInfo) -> Any:
        if isinstance(data, PluginConfig) or data is BROKEN:
            return data
        return cls.parts(data, info.context)

    @classmethod
    def parts(cls, data: Any, context: Any, more: tuple[str, ...] = ()) -> dict[str, Any]:
        """Return the fields for a name or a group of keys; `more` are other accepted words. Raises the error of
        `several`."""
        keys = {"plugin": data} if isinstance(data, str) else data
        if not isinstance(keys, dict):
            raise wrong(f"{sort(data)} is not a plugin", "write its name, or {plugin: NAME} with its options beside it")
        if "plugin" not in keys:
            raise several([(("plugin",), "is missing", "add plugin: with the name of one of `gotunnel plugins`")])
        name = keys["plugin"]
        if name is BROKEN:
            return {"plugin": BROKEN}
        try:
            kind, found = find_plugin(cls.kinds, name, cls.noun, context, more)
        except PydanticCustomError as error:
            path = () if isinstance(data, str) else ("plugin",)
            raise several([(path, what, cure) for _, what, cure in parts_of(error)]) from None
        options = read_options(found, {key: value for key, value in keys.items() if key != "plugin"}, context)
        return {"plugin": found.name, "options": options, "kind": kind}

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Describe both forms."""
        group = {"type": "object", "required": ["plugin"], "properties": {"plugin": {"type": "string"}}}
        return {"anyOf": [{"type": "string"}, group]}

    def __str__(self) -> str:
        return self.plugin


class ObserverConfig(PluginConfig):
    """A plugin to which each visitor is reported."""

    kinds = ("observer",)
    noun = "observers"


class AllocatorConfig(PluginConfig):
    """A plugin that chooses the port of a mapping that leaves the choice to the server."""

    kinds = ("ports",)
    noun = "port allocators"


class TransportConfig(PluginConfig):
    """A plugin that carries the connections of a client to its servers."""

    kinds = ("transport",)
    noun = "transports"


class ListenerConfig(PluginConfig):
    """A plugin that accepts clients of a server, beside its own port."""

    kinds = ("listener",)
    noun = "listeners"


class AuthenticatorConfig(PluginConfig):
    """A plugin that decides whether to let in a client that shows its token, or that proves that it holds one."""

    kinds = ("authenticator", "keys")
    noun = "authenticators"

    @property
    def shown(self) -> bool:
        """Whether it has to see tokens."""
        return self.kind == "authenticator"


class AccessConfig(PluginConfig):
    """A plugin that can forbid what clients publish and reach, and visitors."""

    kinds = ("access",)
    noun = "access policies"


class RelayConfig(PluginConfig):
    """The relay, which moves the bytes."""

    kinds = ("relay",)
    noun = "relays"


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, (str, dict, PluginConfig)) else value


def _as_it_is(value: Any) -> Any:
    return value


ONE = Short("name of a plugin, or group", _as_it_is, {"type": "string"})
Authenticators = Annotated[
    tuple[AuthenticatorConfig, ...], Short("plugins: names or groups", _listed, {"type": ["string", "object"]})
]
Observers = Annotated[
    tuple[ObserverConfig, ...], Short("plugins: names or groups", _listed, {"type": ["string", "object"]})
]
Listeners = Annotated[
    tuple[ListenerConfig, ...], Short("plugins: names or groups", _listed, {"type": ["string", "object"]})
]

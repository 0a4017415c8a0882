"""The options of a mapping's health check. Nothing here connects."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import (
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

from gotunnel.address import parse_host_port
from gotunnel.config.atonce import told_at_once
from gotunnel.config.fields import ServerName
from gotunnel.config.kinds import (
    FLAG,
    Kind,
    Section,
    Short,
    count,
    each,
    parts_of,
    seconds,
    several,
    text_of,
    wrong,
)
from gotunnel.config.paths import ReadableFile
from gotunnel.config.plugins import HIDDEN, find_plugin, open_schema, read_options
from gotunnel.config.scalars import shown
from gotunnel.config.source import BROKEN
from gotunnel.errors import Sentence

__all__ = ["OWN", "HealthConfig", "HealthTlsConfig", "HttpOptions", "OptionalHealth"]

OWN = ("tcp", "http")
"""The built-in checks, whose options are keys of the reference."""
HTTP_ONLY = ("path", "status", "host", "tls")


def _read_path(value: Any) -> str:
    cure = "write what follows the host in a URL, like /healthz"
    path = text_of(value, "a path", cure)
    if not re.fullmatch(r"/[\x21-\x7e]{0,2047}", path):
        raise wrong(f"{shown(value)} is not the path of a URL", cure)
    return str(path)


def _read_status(value: Any) -> str:
    cure = 'write codes and ranges of them from 200 to 599, like [200, "300-399"]'
    number = isinstance(value, int) and not isinstance(value, bool)
    text = str(int(value)) if number else text_of(value, "a status", cure)
    found = re.fullmatch(r"([2-5][0-9]{2})(?:-([2-5][0-9]{2}))?", text.replace(" ", ""))
    if found is None:
        raise wrong(f"{shown(value)} is not a status or a range of them", cure)
    if found[2] is not None and found[2] < found[1]:
        raise wrong(f"the range {shown(value)} ends before it begins", f'write "{found[2]}-{found[1]}"')
    return found[0]


def _read_statuses(value: Any) -> tuple[str, ...]:
    found = each(value, _read_status)
    if not found:
        raise wrong("expects no status at all", "remove it, or write status: 200")
    return found


def _read_host(value: Any) -> str:
    cure = "write a host name, or a host and a port"
    text = text_of(value, "a host", cure)
    try:
        parse_host_port(text, default_port=80)
    except ValueError as error:
        raise wrong(str(error), cure) from None
    return str(text)


def _from_flag(value: Any) -> Any:
    if value is None or isinstance(value, (dict, HealthTlsConfig)):
        return value
    return {} if FLAG.read(value) else None


def _from_word(value: Any) -> Any:
    if value is None or isinstance(value, (dict, HealthConfig)):
        return value
    if value is False or (isinstance(value, str) and value.strip().lower() in ("false", "no", "off")):
        return None
    return {"type": value}


_STATUSES = {
    "anyOf": [{"type": ["integer", "string"]}, {"type": "array", "items": {"type": ["integer", "string"]}}]
}


class HealthTlsConfig(Section):
    """TLS to a service that is asked by HTTP."""

    ca: ReadableFile | None = Field(
        default=None,
        description="certificates in PEM, one of which must have signed the service's certificate; if not set, those "
        "of the system",
    )
    server_name: ServerName | None = Field(
        default=None, description="name that the service's certificate must have; if not set, its host"
    )
    verify: Annotated[bool, FLAG] = Field(default=True, description="`false` accepts any certificate")


def _read_type(value: Any) -> str:
    return text_of(value, "a word", "write tcp, http, or the name of a plugin")


class _Pace(Section):
    """When to probe, and what the verdict takes, whatever a probe does."""

    type: Annotated[str, Kind("tcp, http or a plugin's name", _read_type)] = Field(
        default="tcp",
        description="`tcp`: it accepts a connection; `http`: it answers a GET with an expected status; or a plugin, "
        "whose options go beside this key (`gotunnel plugins`)",
    )
    interval: Annotated[float, seconds(0.1, 86_400)] = Field(
        default=10.0, description="time from the start of one probe to the next"
    )
    timeout: Annotated[float, seconds(0.1, 300)] = Field(
        default=5.0, description="time limit for a probe; one that takes longer has failed"
    )
    failures: Annotated[int, count(1, 1000)] = Field(
        default=3,
        description="failed probes in a row until it counts as down; the first probe after the start counts at once",
    )
    successes: Annotated[int, count(1, 1000)] = Field(
        default=1, description="successful probes in a row until it counts as up again"
    )


class HttpOptions(Section):
    """What a service is asked by HTTP, and which answer is good."""

    path: Annotated[str, Kind("path of a URL", _read_path)] = Field(
        default="/", description="path that `http` requests"
    )
    status: Annotated[
        tuple[str, ...], Kind('statuses and ranges, like [200, "300-399"]', _read_statuses, list, _STATUSES)
    ] = Field(default=("200-399",), description="statuses that are good for `http`; redirects are not followed")
    host: Annotated[str, Kind('"host" or "host:port"', _read_host)] | None = Field(
        default=None, description="the Host header of `http`; if not set, the service's address"
    )
    tls: Annotated[HealthTlsConfig | None, Short("true, false or group", _from_flag, {"type": "boolean"})] = (
        Field(default=None, description="`http` inside TLS; `true` checks the certificate as a browser would")
    )

    def expects(self, status: int) -> bool:
        """Return whether this HTTP status is an expected one."""
        return any(int(rule[:3]) <= status <= int(rule[-3:]) for rule in self.status)

    def certificate_name(self, target_host: str) -> str:
        """Return the name that the certificate of a service on `target_host` must have."""
        if self.tls is not None and self.tls.server_name is not None:
            return self.tls.server_name
        return target_host if self.host is None else parse_host_port(self.host, default_port=80).host


class HealthConfig(HttpOptions, _Pace):
    """How one service is probed, and what the verdict takes."""

    model_config = ConfigDict(json_schema_extra=open_schema)

    options: Annotated[Section | None, HIDDEN] = None
    """Of a plugin that is neither tcp nor http."""

    @model_validator(mode="before")
    @classmethod
    def _options_of_plugin(cls, data: Any, info: ValidationInfo) -> Any:
        if not isinstance(data, dict):
            return data
        kind = data.get("type", "tcp")
        if kind is BROKEN or (isinstance(kind, str) and kind.strip() in OWN):
            if "options" in data:
                raise several([(("options",), "is not a known key", "remove it")])
            return data
        try:
            _, plugin = find_plugin(("health",), kind, "health checks", info.context)
        except PydanticCustomError as error:
            raise several([(("type",), what, cure) for _, what, cure in parts_of(error)]) from None
        common = {key: value for key, value in data.items() if key in _Pace.model_fields}
        options = read_options(plugin, {key: value for key, value in data.items() if key not in common}, info.context)
        return {**common, "type": plugin.name, "options": options}

    @model_validator(mode="wrap")
    @classmethod
    def _all_at_once(cls, data: Any, handler: ModelWrapValidatorHandler[HealthConfig], info: ValidationInfo) -> Any:
        try:
            return handler(data)
        except ValidationError as error:
            raise told_at_once(cls, data, error, info.context, "type", {}) from None

    @model_validator(mode="after")
    def _keys_fit_type(self) -> HealthConfig:
        stray = [key for key in HTTP_ONLY if key in self.model_fields_set] if self.type == "tcp" else []
        if stray:
            raise several([((key,), "is for type: http", "add type: http, or remove it") for key in stray])
        return self

    def __str__(self) -> str:
        return self.said

    @property
    def said(self) -> Sentence:
        """The kind of probe and its interval, in words."""
        how = self.type
        if self.type == "http":
            how = f"{'https' if self.tls else 'http'} {self.path}"
        return Sentence("{probe} every {interval:g} s", probe=how, interval=self.interval)


OptionalHealth = Annotated[
    HealthConfig | None, Short("tcp, http, false or group", _from_word, {"type": ["string", "boolean"]})
]

"""Turns a program's options for a port or a connection into what a client's file would contain."""

from __future__ import annotations

import itertools
from collections.abc import Container, Mapping
from typing import Any

from pydantic import ValidationError

from gotunnel.address import HostPort, InProcess, parse_address
from gotunnel.api.settings import PROGRAM, gathered, refused_option
from gotunnel.config.model import ForwardConfig, MappingConfig
from gotunnel.config.words import problems
from gotunnel.errors import ConfigError, Sentence

__all__ = ["forward_config", "mapping_config", "mapping_section", "of_datagrams"]

MAPPING_WORDS: Mapping[tuple[str, ...], str] = {("name",): "mapping", ("local",): "what"}
"""The options whose names differ from the keys of a mapping."""


def mapping_section(
    local: Any, remote: int | str | None, given: Mapping[str, Any], taken: Container[str] = ()
) -> dict[str, Any]:
    """Return the keys of a mapping to `local`, an address or an InProcess. A mapping without a name gets one that is
    not in `taken`. Raises ConfigError."""
    section = {key: value for key, value in given.items() if value is not None}
    name = section.pop("mapping", None)
    if not isinstance(local, (InProcess, int, str)):
        what = Sentence("a {name} cannot be a target", name=type(local).__name__)
        raise refused_option("what", what, "give a port, an address, a protocol factory or a client endpoint")
    if remote is None and section.get("public", True) and not isinstance(local, InProcess):
        remote = _port_of(local)
    if section.get("public", True):
        section["remote"] = 0 if remote is None else remote
        section.pop("public", None)
    elif remote is not None:
        section["remote"] = remote  # the configuration refuses this, with a cure
    section["name"] = _free_name(local, remote, taken) if name is None else name
    return {**section, "local": local}


def of_datagrams(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a port that leads to a DatagramProtocol. Raises ConfigError for `protocol="tcp"`."""
    if given.get("protocol") == "tcp":
        raise refused_option("protocol", "is tcp, and a DatagramProtocol takes datagrams", "remove it")
    return {**given, "protocol": given.get("protocol") or "udp"}


def _free_name(local: Any, remote: int | str | None, taken: Container[str]) -> str:
    name = "listener" if remote is None or str(remote).rpartition(":")[2] == "0" else str(remote)
    if not isinstance(local, InProcess):
        try:
            name = str(parse_address(local))
        except ValueError:
            pass  # the configuration refuses it with a better reason
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    return next(each for each in names if each not in taken)


def _port_of(local: int | str) -> int:
    try:
        address = parse_address(local)
    except ValueError:
        return 0  # the configuration refuses it with a better reason
    return address.port if isinstance(address, HostPort) else 0


def mapping_config(section: Mapping[str, Any]) -> MappingConfig:
    """Return one mapping. Raises ConfigError, in terms of the program's options."""

    def made() -> MappingConfig:
        try:
            return MappingConfig.model_validate(dict(section))
        except ValidationError as error:
            raise ConfigError(problems(error, PROGRAM, MAPPING_WORDS)) from None

    return gathered(made)[0]


def forward_config(target: str, encrypt: bool) -> ForwardConfig:
    """Return the configuration of a forward to this target. Raises ConfigError."""

    def made() -> ForwardConfig:
        try:
            return ForwardConfig.model_validate({"name": "dial", "listen": 0, "dial": target, "encrypt": encrypt})
        except ValidationError as error:
            raise ConfigError(problems(error, PROGRAM, {})) from None

    return gathered(made)[0]

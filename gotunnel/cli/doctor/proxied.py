"""Checks whether a target that is to get the PROXY protocol header accepts it. A target that does not expect a header
usually closes the connection at once. One that waits for more may expect it or not, so nothing is reported."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from gotunnel.cli.doctor.findings import Finding, warning
from gotunnel.cli.doctor.visit import SECONDS, Visit
from gotunnel.config.model import MappingConfig
from gotunnel.errors import DialFailed, Sentence
from gotunnel.net.beginning import Beginning
from gotunnel.net.quiet import OneProtocol
from gotunnel.net.target import dial_failed, target_endpoint
from gotunnel.wire.proxyheader import proxy_header_of_nobody

__all__ = ["check_header", "header_of"]


def header_of(mapping: MappingConfig) -> bytes:
    """Return the first bytes of a connection of our own to the mapping's target."""
    version = mapping.proxy_protocol
    return b"" if version == "off" else proxy_header_of_nobody(version)


async def check_header(reactor: Any, check: str, mapping: MappingConfig, timeout: float) -> list[Finding]:
    """Connect to the target of a mapping with `proxy_protocol`, and send nothing but the header."""
    target, visit = mapping.local, Visit(reactor, SECONDS)
    endpoint = Beginning(target_endpoint(reactor, target, timeout), header_of(mapping))
    connecting: Deferred[Any] = endpoint.connect(OneProtocol(lambda: visit))
    try:
        await connecting.addErrback(dial_failed, target)
    except DialFailed as failed:
        return [warning(check, str(failed), "run it again")]
    if await visit.closed is None:
        return []
    said = Sentence("{target} closes the connection when it gets the header of the PROXY protocol ({version})",
                    target=target, version=mapping.proxy_protocol)  # fmt: skip
    cure = "let it expect one from this machine, in this version, or remove proxy_protocol from the mapping"
    return [warning(check, said, cure)]

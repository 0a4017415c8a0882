"""Health checks: how a client finds out whether a target is healthy."""

from __future__ import annotations

from gotunnel.config.health import HttpOptions
from gotunnel.config.health_command import CommandOptions
from gotunnel.interfaces import IHealthCheck
from gotunnel.plugin import Plugin

__all__ = ["command", "http", "tcp"]

tcp = Plugin(
    IHealthCheck, "tcp", "gotunnel.client.checks.TcpCheck", summary="the target accepts a connection"
)
http = Plugin(
    IHealthCheck,
    "http",
    "gotunnel.client.checks.HttpCheck",
    options=HttpOptions,
    summary="the target answers a GET with a status that is expected",
)
command = Plugin(
    IHealthCheck,
    "command",
    "gotunnel.client.commandcheck.CommandCheck",
    options=CommandOptions,
    summary="a command ends with exit code 0",
)

"""Runs a service in the foreground until a signal, with the log on standard error. Makes no service."""

from __future__ import annotations

from typing import Any

from twisted.application.service import IService

__all__ = ["run"]


def run(service: IService, reactor: Any) -> None:
    """Run the reactor with this service until it stops. At the end, wait for the Deferred of `stopService`."""
    service.privilegedStartService()
    service.startService()
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    reactor.run()

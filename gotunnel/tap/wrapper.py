"""A service around the service of a role: it starts and stops with the role, and adds something."""

from __future__ import annotations

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, maybeDeferred

__all__ = ["Wrapper"]


class Wrapper(Service):
    """Passes on the runner's calls. A subclass adds its own work before or after."""

    def __init__(self, service: IService) -> None:
        self._inner = service

    def privilegedStartService(self) -> None:
        """Called by the runner while it may still be root."""
        super().privilegedStartService()
        self._inner.privilegedStartService()

    def startService(self) -> None:
        """Start the role."""
        super().startService()
        self._inner.startService()

    def stopService(self) -> Deferred[None]:
        """Stop the role."""
        super().stopService()
        return maybeDeferred(self._inner.stopService)

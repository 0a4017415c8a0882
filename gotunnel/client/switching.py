"""Lets an operator switch one mapping of this client off, at all of its servers, and on again. It stays off until it is
switched on, the mapping is removed from the configuration, or the process ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gotunnel.logs import Logger

if TYPE_CHECKING:
    from gotunnel.client.service import ClientService

__all__ = ["switch_mapping"]

log = Logger(namespace="gotunnel.client.switching")


def switch_mapping(service: ClientService, name: str, *, off: bool) -> bool:
    """Switch the mapping. Returns False if there is none of that name. Current visitors are not affected."""
    if not any(mapping.name == name for mapping in service.config.mappings):
        return False
    downs = service.links.downs
    if off != (name in downs.off):
        downs.switch(name, off)
        log.warn("an operator has switched mapping {mapping} {state}", mapping=name, state="off" if off else "on")
    return True

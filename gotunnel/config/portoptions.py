"""The options of the built-in port allocators. Nothing here chooses a port."""

from __future__ import annotations

from pydantic import Field

from gotunnel.config.fields import PortRules
from gotunnel.config.kinds import Section

__all__ = ["StickyOptions"]


class StickyOptions(Section):
    """Of which ports a mapping gets its own."""

    ports: PortRules | None = Field(
        default=None,
        description="ports to choose from, as far as the client may publish them; if not set, all that it may publish",
    )

"""The options of the built-in observers. Nothing here observes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gotunnel.config.kinds import FLAG, Section
from gotunnel.config.paths import TokenFile, UsageFile
from gotunnel.config.spans import UNITS, span

__all__ = ["LogOptions", "UsageObserverOptions"]


class LogOptions(Section):
    """Where the lines go, and which there are."""

    file: TokenFile = Field(
        description="file to append to, made with mode 0600; when log rotation moves it away, a new one is begun"
    )
    opened: Annotated[bool, FLAG] = Field(default=False, description="also write a line when a visitor arrives")


class UsageObserverOptions(Section):
    """Where a history is kept, and for how long."""

    file: UsageFile = Field(description="SQLite file of its own, not that of `usage`, made with mode 0600")
    keep: Annotated[int, span("1d", "3650d")] = Field(
        default=400 * UNITS["d"], description="how long it is kept, in days (`90d`) or hours (`48h`)"
    )

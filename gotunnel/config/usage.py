"""The `usage` group of both roles: how the history of traffic is kept. Nothing here writes it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from gotunnel.config.kinds import FLAG, Section, Short, from_flag
from gotunnel.config.paths import UsageFile
from gotunnel.config.spans import UNITS, span

__all__ = ["Usage", "UsageConfig"]


class UsageConfig(Section):
    """The history of traffic: bytes, streams, failures and peaks of each mapping."""

    enabled: Annotated[bool, FLAG] = Field(
        default=True, description="`false`, or `usage: false`: nothing is written; existing data stays"
    )
    keep: Annotated[int, span("1d", "3650d")] = Field(
        default=400 * UNITS["d"], description="how long it is kept, in days (`90d`) or hours (`48h`)"
    )
    file: UsageFile | None = Field(
        default=None,
        description="its SQLite file; if not set, `usage-server.db` or `usage-client-NAME.db` in the state folder",
    )

    def path(self, state: Path, role: str, client: str | None) -> Path:
        """Return the path of the history file, for this role and state folder."""
        if self.file is not None:
            return self.file
        return state / (f"usage-{role}.db" if client is None else f"usage-{role}-{client}.db")


Usage = Annotated[UsageConfig, Short("false or group", from_flag, {"type": "boolean"})]

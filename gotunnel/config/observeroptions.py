"""The options of the observers. Nothing here observes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gotunnel.config.kinds import FLAG, Section
from gotunnel.config.paths import TokenFile

__all__ = ["LogOptions"]


class LogOptions(Section):
    """Where the lines go, and which there are."""

    file: TokenFile = Field(
        description="file to append to, made with mode 0600; when it is moved away a new one is begun, as log rotation "
        "wants it"
    )
    opened: Annotated[bool, FLAG] = Field(default=False, description="a line when a visitor comes, too")

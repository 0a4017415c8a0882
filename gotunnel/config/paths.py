"""The kinds of values that name files. A path is relative to the folder of its configuration file."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from gotunnel.config.kinds import Kind, text_of, wrong
from gotunnel.config.scalars import shown
from gotunnel.errors import Sentence

__all__ = ["BASE", "ClientsFile", "ReadableFile", "TokenFile", "UsageFile", "absolute"]

BASE = "base"
"""Key in pydantic's validation context: the folder that relative paths refer to."""


def absolute(value: Any, base: Path) -> Path:
    """Return the path that a file names, relative to the folder `base`. Raises the error of `wrong`."""
    cure = "write the path of a file"
    text = str(value) if isinstance(value, Path) else text_of(value, "a path", cure)
    if "\0" in text:
        raise wrong("the path has a NUL character", cure)
    return base / text


def _read_path(value: Any, info: core_schema.ValidationInfo) -> Path:
    return absolute(value, (info.context or {}).get(BASE, Path.cwd()))


def _read_file(value: Any, info: core_schema.ValidationInfo) -> Path:
    if isinstance(value, str) and "-----" in value:
        raise wrong("holds PEM text", "write the text into a file, and the path of that file here")
    path = _read_path(value, info)
    reason = ""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            reason = "not a regular file"
        elif not os.access(path, os.R_OK):
            reason = "permission denied"
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or "not a path").lower()
    if reason:
        raise wrong(
            Sentence("{value} cannot be read: {reason}", value=shown(value), reason=reason),
            "write the path of a file in PEM that this user may read",
        )
    return path


@dataclass(frozen=True, eq=False)
class _PathKind(Kind):
    """A Kind whose `read_path` also gets pydantic's context, with the folder of the file."""

    read_path: Callable[[Any, core_schema.ValidationInfo], Path] = _read_path

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        write = core_schema.plain_serializer_function_ser_schema(str)
        return core_schema.with_info_plain_validator_function(self.read_path, serialization=write)


ReadableFile = Annotated[Path, _PathKind("path of a file", Path, read_path=_read_file)]
TokenFile = Annotated[Path, _PathKind("path of a file", Path)]
UsageFile = Annotated[Path, _PathKind("path of a file", Path)]
ClientsFile = Annotated[Path, _PathKind("path of a file", Path)]

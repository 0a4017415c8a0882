"""Checks that no two histories of traffic use one file, where each visitor would count twice: the role's own (`usage`),
and those of its observers. Does not read the files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from gotunnel.errors import ConfigError, Problem, Sentence, printable

if TYPE_CHECKING:  # a role does not load the section of the other role
    from gotunnel.config.client import ClientConfig
    from gotunnel.config.server import ServerConfig

__all__ = ["check_histories"]

CURE = "name another file, or remove one of the two"


def check_histories(config: ServerConfig | ClientConfig, state: Path, file: str | os.PathLike[str]) -> None:
    """Compare the history files in one section of `file`, for this state folder. Raises ConfigError."""
    role, client = config.role, config.name if config.role == "client" else None
    if not config.observers:
        return
    from gotunnel.config.observeroptions import UsageObserverOptions  # imported late: it costs memory

    taken: dict[str, str] = {}
    if config.usage.enabled:
        taken[_place(config.usage.path(state, role, client))] = f"{role}.usage"
    problems = []
    for number, observer in enumerate(config.observers):
        if not isinstance(observer.options, UsageObserverOptions):
            continue
        key, place = f"{role}.observers[{number}]", _place(observer.options.file)
        if place in taken:
            what = Sentence(
                "{path} is the file of {other} already: each visitor would count twice",
                path=printable(observer.options.file, 256), other=taken[place],
            )  # fmt: skip
            problems.append(Problem(printable(os.fspath(file), 400), None, f"{key}.file", what, CURE))
        taken.setdefault(place, key)
    if problems:
        raise ConfigError(problems)


def _place(path: Path) -> str:
    """Return the same text for all names of one file, whether it exists or not."""
    return os.path.realpath(path)

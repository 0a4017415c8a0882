"""What both roles do at their start: load files, find the state folder, set exit codes. Opens no connection."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from twisted.application.service import IService
from twisted.python import usage

from gotunnel import __version__
from gotunnel.errors import Sentence
from gotunnel.i18n.events import log_language, set_log_language
from gotunnel.i18n.language import ENGLISH, of_environment
from gotunnel.logs import Logger, set_level
from gotunnel.net.choice import install_reactor
from gotunnel.net.clock import use_monotonic
from gotunnel.net.descriptors import raise_limit
from gotunnel.net.reloading import Reloadable
from gotunnel.net.systemd import NotifySocket
from gotunnel.tap.cores import without_core
from gotunnel.tap.exits import one_line_errors
from gotunnel.tap.hangup import Hangup
from gotunnel.tap.memory import give_back, heap, keep
from gotunnel.tap.shutdown import TwoStepStop
from gotunnel.tap.trimming import Trimming

__all__ = ["DEFAULT_CONFIG", "Prepared", "Role", "RoleOptions", "state_folder", "state_path"]

DEFAULT_CONFIG = "config.yaml"
LEAST_COLUMNS = 40
"""The smallest width of a page of help, whatever the terminal has."""

log = Logger()


def state_path(chosen: str | None, env: Mapping[str, str] = os.environ) -> Path:
    """Return the folder for what must outlive the process. It need not exist.

    `chosen` is `--state`; without it, systemd's STATE_DIRECTORY applies (the first, if it names several), then the XDG
    base directory.
    """
    name = chosen or env.get("STATE_DIRECTORY", "").partition(":")[0]
    if not name:
        base = env.get("XDG_STATE_HOME", "")
        # The XDG specification says that a relative path must be ignored.
        name = os.path.join(base if os.path.isabs(base) else os.path.expanduser("~/.local/state"), "gotunnel")
    return Path(name).absolute()


def state_folder(chosen: str | None, env: Mapping[str, str] = os.environ) -> Path:
    """Return `state_path`, creating it with mode 0700 if it is missing. An existing folder keeps its mode.

    Raises OSError.
    """
    path = state_path(chosen, env)
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            Sentence(
                "the state folder {path} cannot be made: {strerror}; choose another with --state",
                path=path, strerror=error.strerror,
            )
        ) from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise OSError(Sentence(
            "the state folder {path} is not writable; choose another with --state", path=path
        ))
    return path


@dataclass(frozen=True, slots=True)
class Prepared:
    """A role that is ready to start: its validated section of the file, its state folder, and a function that reads the
    file again, if there is a file."""

    config: Any
    state: Path
    read: Callable[[], Any] | None = None


@dataclass(frozen=True, slots=True)
class Role:
    """One of the two roles. `load` and `make` raise GotunnelError for anything that the operator has to correct.

    `load` gets the path of the file, and that of the state folder, which may not exist yet.
    """

    program: str
    load: Callable[[str, Path], Any]
    make: Callable[[Any, Any, Path], IService]
    watched: Callable[[Any, Any, Any, Path], IService] | None = None
    """Puts the admin socket beside what `make` returned. It gets that service, the configuration, the reactor and the
    state folder. None means no admin socket."""

    def prepare(self, config: str, state: str | None) -> Prepared:
        """Read the file and find the state folder; or print what is wrong, and raise SystemExit."""
        with one_line_errors(self.program):
            loaded, folder = self.load(config, state_path(state)), state_folder(state)
        # Absolute, because a daemon may change its folder.
        return Prepared(loaded, folder, partial(self.load, os.path.abspath(config), folder))

    def service(self, prepared: Prepared, reactor: Any) -> IService:
        """Build the service, with the server's control port already bound; or print one line, and raise SystemExit."""
        use_monotonic(reactor)
        set_level(prepared.config.log_level)
        set_log_language(prepared.config.log_lang)
        for warning in prepared.config.warnings:
            log.warn("{advice}", advice=warning)
        raise_limit(reactor)
        without_core()
        with one_line_errors(self.program, log_language()):
            made = self.make(prepared.config, reactor, prepared.state)
        role = made if isinstance(made, Reloadable) and prepared.read is not None else None
        if role is not None:
            role.speak = set_log_language
        if self.watched is not None:
            made = self.watched(made, prepared.config, reactor, prepared.state)
        found = heap()
        if found is not None:
            made = Trimming(made, reactor, *found)
        notify = NotifySocket.named()
        if notify is not None:
            # Imported only if systemd listens, because it takes memory.
            from gotunnel.tap.notices import Notices

            made = notices = Notices(made, reactor, notify, lambda: prepared.config.drain_timeout)
            if role is not None:
                notices.drain = lambda: role.drain_timeout
                role.watchers.append(notices.reloading)
        keep()
        give_back()
        stop = TwoStepStop(made, reactor, self.program)
        if role is None:
            return stop
        role.source = prepared.read
        return Hangup(stop, reactor, role.reload_from_file, stop.stop_requested)


def _columns() -> int:
    """Return the width of a page of help. Twisted also takes it from COLUMNS, and fails if that is no number, or too
    small for its columns."""
    said = os.environ.get("COLUMNS", "")
    return max(LEAST_COLUMNS, int(said)) if re.fullmatch("-?[0-9]{1,4}", said) else 80


class RoleOptions(usage.Options):
    """The command line of a role under `twistd` and `twist`. `prepared` is set by the parsing."""

    role: Role
    prepared: Prepared

    optParameters = [
        ["config", "c", DEFAULT_CONFIG, "The configuration file."],
        [
            "state",
            None,
            None,
            "The folder for state (default: $STATE_DIRECTORY, else $XDG_STATE_HOME/gotunnel).",
        ],
    ]

    def parseOptions(self, options: list[str] | None = None) -> None:
        """Called by twistd with the words after the role's name. Without `--reactor`, no reactor is installed yet."""
        install_reactor()
        with one_line_errors(self.role.program):
            super().parseOptions(options)

    def __str__(self) -> str:
        """Called by Twisted for `--help`."""
        language = of_environment()
        width = _columns()
        if language is ENGLISH:
            return f"{self.getSynopsis()}\n{self.getUsage(width)}"
        from gotunnel.tap.rolehelp import page

        return page(self, width, language.sentence)

    def postOptions(self) -> None:
        """Load the file now, before twistd leaves the terminal, so that errors reach the user who starts it."""
        self.prepared = self.role.prepare(self["config"], self["state"])

    def opt_version(self) -> None:
        """Print the version and exit."""
        print(f"{self.role.program} {__version__}")
        raise SystemExit(0)

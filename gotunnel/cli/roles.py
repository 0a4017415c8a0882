"""`gotunnel-server` and `gotunnel-client`: the two roles in the foreground, with the configuration of this folder.
Twisted's own options read their command line, as under `twistd`: who runs for a year has no other use for click."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from twisted.python.usage import UsageError

from gotunnel.cli.logoutput import FORMATS, begin_logging

if TYPE_CHECKING:
    from gotunnel.tap.role import RoleOptions

__all__ = ["client", "server"]


def server(words: Sequence[str] | None = None, prog_name: str = "gotunnel-server") -> None:
    """The server: `words` are its options, those of the process if None."""
    from gotunnel.tap.server import Options

    _run(Options, words, prog_name, "Publish ports of clients that cannot be reached themselves.")


def client(words: Sequence[str] | None = None, prog_name: str = "gotunnel-client") -> None:
    """The client, likewise."""
    from gotunnel.tap.client import Options

    _run(Options, words, prog_name, "Publish ports of this machine on a gotunnel server.")


def _run(kind: type[RoleOptions], words: Sequence[str] | None, program: str, purpose: str) -> None:
    class Foreground(kind):  # type: ignore[valid-type,misc]
        synopsis, longdesc = f"Usage: {program} [options]", purpose
        optParameters = [["log-format", None, None, f"{' or '.join(FORMATS)}, whatever log_format says.", _format]]

        def opt_h(self) -> None:
            """Display this help and exit."""
            self.opt_help()

    options: RoleOptions = Foreground()
    options.parseOptions(sys.argv[1:] if words is None else list(words))
    from twisted.internet import reactor

    from gotunnel.cli.foreground import run

    begin_logging(sys.stderr, options["log-format"] or options.prepared.config.log_format)
    run(options.role.service(options.prepared, reactor), reactor)


def _format(name: str) -> str:
    if name not in FORMATS:
        raise UsageError(f"--log-format is {' or '.join(FORMATS)}")
    return name

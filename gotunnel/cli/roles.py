"""`gotunnel-server` and `gotunnel-client`: the two roles in the foreground, with the configuration of this folder. They
use Twisted's own options, as under `twistd`, so a long-running process does not import click."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from twisted.python.usage import UsageError

from gotunnel.cli.logoutput import FORMATS, begin_logging
from gotunnel.cli.streams import fill_gaps, flush_at_end

if TYPE_CHECKING:
    from gotunnel.tap.role import RoleOptions

__all__ = ["client", "client_options", "server", "server_options"]


def server(words: Sequence[str] | None = None, prog_name: str = "gotunnel-server") -> None:
    """Run the server. `words` are its options; None means those of the process."""
    _run(server_options(prog_name), words)


def client(words: Sequence[str] | None = None, prog_name: str = "gotunnel-client") -> None:
    """Run the client. `words` are its options; None means those of the process."""
    _run(client_options(prog_name), words)


def server_options(program: str = "gotunnel-server") -> RoleOptions:
    """Return the server's options as its own program has them."""
    from gotunnel.tap.server import Options

    return _foreground(Options, program, "Publish ports of clients that cannot be reached directly.")


def client_options(program: str = "gotunnel-client") -> RoleOptions:
    """Return the client's options as its own program has them."""
    from gotunnel.tap.client import Options

    return _foreground(Options, program, "Publish ports of this machine on a gotunnel server.")


def _foreground(kind: type[RoleOptions], program: str, purpose: str) -> RoleOptions:
    class Foreground(kind):  # type: ignore[valid-type,misc]
        synopsis, longdesc = f"Usage: {program} [options]", purpose
        optParameters = [["log-format", None, None, f"{' or '.join(FORMATS)}, whatever log_format says.", _format]]

        def opt_h(self) -> None:
            """Display this help and exit."""
            self.opt_help()

    options: RoleOptions = Foreground()
    return options


def _run(options: RoleOptions, words: Sequence[str] | None) -> None:
    fill_gaps()
    try:
        options.parseOptions(sys.argv[1:] if words is None else list(words))
    except SystemExit as end:  # after --help and --version, too
        flush_at_end(options.role.program, end.code)
        raise
    from twisted.internet import reactor

    from gotunnel.cli.foreground import run

    begin_logging(sys.stderr, options["log-format"] or options.prepared.config.log_format)
    run(options.role.service(options.prepared, reactor), reactor)


def _format(name: str) -> str:
    if name not in FORMATS:
        raise UsageError(f"--log-format is {' or '.join(FORMATS)}")
    return name

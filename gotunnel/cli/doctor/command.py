"""`gotunnel doctor` as a command: reads the configuration, runs the checks, and prints their findings."""

from __future__ import annotations

import os
import sys
from typing import Any

import click
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gotunnel.address import parse_host_port
from gotunnel.cli.doctor.client import check_client
from gotunnel.cli.doctor.findings import Finding, as_json, failed, note
from gotunnel.cli.doctor.server import check_server
from gotunnel.cli.doctor.serving import APISERVER
from gotunnel.cli.doctor.targets import leads_to_kubernetes
from gotunnel.cli.doctor.wish import Wish
from gotunnel.cli.logoutput import begin_logging
from gotunnel.config.histories import check_histories
from gotunnel.config.identityfile import CLIENTS_FILE
from gotunnel.config.load import load
from gotunnel.config.model import File
from gotunnel.errors import ConfigError, GotunnelError, Problem, Sentence, printable
from gotunnel.i18n.language import of_environment
from gotunnel.logs import set_level
from gotunnel.net.clock import use_monotonic
from gotunnel.tap.exits import FAILED, one_line_errors
from gotunnel.tap.role import state_path

__all__ = ["doctor_file", "examine"]

PROGRAM = "gotunnel doctor"


def doctor_file(path: str, state: str | None, wish: Wish, *, json: bool) -> None:
    """Print the findings about a file. Raise SystemExit(1) if one of them is a problem, and SystemExit(2) if the file
    is refused."""
    with one_line_errors(PROGRAM):
        _check_names(wish.names)
        file = load(path, clients_elsewhere=os.path.exists(state_path(state) / CLIENTS_FILE))
        for section in (file.server, file.client):
            if section is not None:
                check_histories(section, state_path(state), path)
        set_level("error")
        begin_logging(sys.stderr, "text")
        findings = _run(file, state, wish)
    if json:
        click.echo(as_json(findings))
    else:
        for finding in findings:
            click.echo(finding.said(of_environment()))
    if failed(findings):
        raise SystemExit(FAILED)


async def examine(reactor: Any, file: File, state: str | None, wish: Wish) -> list[Finding]:
    """Return all findings about both sections."""
    found: list[Finding] = []
    if file.server is not None:
        found += await check_server(reactor, file.server, state, wish)
    if file.client is not None:
        found += await check_client(reactor, file.client, wish)
    if wish.kubernetes and file.server is None and file.client is not None and not leads_to_kubernetes(file.client):
        found.append(note("kubernetes", "nothing leads to port 6443 or 10250: no certificate was examined"))
    return list(dict.fromkeys(found))  # findings about both sections are reported once


def _check_names(names: tuple[str, ...]) -> None:
    for name in names:
        try:
            parse_host_port(f"[{name}]" if ":" in name else name, default_port=APISERVER)
        except ValueError:
            wrong = Sentence("{name} is neither", name=printable(name))
            cure = "write a host name or an IP address, without a port"
            raise ConfigError([Problem(PROGRAM, None, "--name", wrong, cure)]) from None


def _run(file: File, state: str | None, wish: Wish) -> list[Finding]:
    from twisted.internet import reactor as running

    reactor: Any = running
    use_monotonic(reactor)
    results: list[Any] = []

    interrupted: list[bool] = []

    def begin() -> None:
        examining = Deferred.fromCoroutine(examine(reactor, file, state, wish))
        examining.addBoth(results.append).addBoth(lambda _: interrupted or reactor.stop())

    def stopping() -> None:
        if not results:  # Ctrl-C: it also breaks connections, which is not a finding
            interrupted.append(True)

    reactor.addSystemEventTrigger("before", "shutdown", stopping)
    reactor.callWhenRunning(begin)
    reactor.run()
    if interrupted or not results:
        raise GotunnelError(Sentence("interrupted"))
    if isinstance(results[0], Failure):
        results[0].raiseException()
    findings: list[Finding] = results[0]
    return findings

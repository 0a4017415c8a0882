"""`gotunnel join`: makes this machine a client of a server that already has an entry for it. Connects once, proves the
token, and writes a configuration and a token file; it publishes nothing itself."""

from __future__ import annotations

import json
import os
import secrets
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.cells import cell_len
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gotunnel import __version__
from gotunnel.cli.clientconfig import PROGRAM, Wish, client_section, config_of, config_text, with_paths
from gotunnel.cli.clientfiles import ClientFiles
from gotunnel.cli.logoutput import begin_logging
from gotunnel.cli.renewal import Renewal, without_token
from gotunnel.cli.saying import say
from gotunnel.cli.tokeninput import VARIABLE, given_token
from gotunnel.client.enrolment import Enrolment, NotConfirmed
from gotunnel.client.identity import ClientIdentity
from gotunnel.config.load import load_client
from gotunnel.config.model import ClientConfig
from gotunnel.errors import ConfigError, GotunnelError, Problem, Sentence, printable, system_words
from gotunnel.i18n.events import set_log_language
from gotunnel.i18n.language import of_environment
from gotunnel.logs import set_level
from gotunnel.net.clock import use_monotonic
from gotunnel.net.dialer import ServerPath, Unreachable
from gotunnel.net.plugged import made
from gotunnel.net.tls import TlsFilesError
from gotunnel.tap.exits import one_line_errors
from gotunnel.wire.greeting import ENROL
from gotunnel.wire.handshake import ClientHandshake

__all__ = ["join_server"]

CURES = {
    "auth_failed": "if the name is right, the token is incomplete, was used already or has expired; on the server, "
    "`gotunnel client list` shows its clients, and `gotunnel client rotate NAME --print-join` makes another line",
    "bad_server_mac": "the token is not the server's, or somebody sits between it and this machine",
    "name_in_use": "stop the other one, or join with another name",
    "tls_required": "the server wants TLS: leave out --plain",
    "timeout": "is that a gotunnel server? With `tls: {mode: off}` there, say --plain",
    "closed": "is that a gotunnel server? With `tls: {mode: off}` there, say --plain; and after failed logins a server "
    "refuses an address for a while",
}
"""What to do about the error codes of the protocol."""
LABEL = 24
"""Cells for the purpose of a step."""


class JoinFailed(GotunnelError):
    """The server could not be joined; one line says why, and what to do."""


def join_server(wish: Wish, output: str, *, force: bool, renew: bool, as_json: bool) -> None:
    """Join, and say what to do next. `renew` keeps an existing configuration. Raises SystemExit if it fails."""
    with one_line_errors(PROGRAM):
        if len(wish.server) >= 32 and not set(wish.server) & set(".:["):
            raise ConfigError([Problem(PROGRAM, None, "HOST:PORT", "looks like a token", "pipe the token in")])
        section, files = client_section(wish), _files(wish, Path(output), force=force, renew=renew)
        files.check()
        token = given_token(PROGRAM)
        config = config_of(section, token)
        section = with_paths(section, config)
        if isinstance(files, Renewal):
            wish, config = files.way(wish, config)
        set_level("warn")
        set_log_language(of_environment().name)
        begin_logging(sys.stderr, "text")

        def store(lasting: str) -> None:
            files.save(lasting, lambda token_file: config_text(section, token_file))

        doubt = ""
        try:
            enrolled = _connect(config, store, "transport" if wish.transport is None else "--transport")
            if not enrolled:
                store(token)
        except NotConfirmed as lost:
            enrolled, doubt = True, str(lost)
        except JoinFailed:
            files.undo()  # the server has revoked the token that it sent
            raise
        except OSError as failed:
            raise JoinFailed(Sentence(
                "{path} cannot be written: {reason}; mend that, or choose another place with --output, and paste the "
                "line again: its token is as good as before",
                path=printable(failed.filename or files.config, 256), reason=system_words(failed).lower(),
            )) from None
        assert files.token is not None
        load_problem = _problem_of(files.config)
    _tell(wish, files, enrolled=enrolled, doubt=doubt, load_problem=load_problem, as_json=as_json)


def _files(wish: Wish, output: Path, *, force: bool, renew: bool) -> ClientFiles | Renewal:
    if renew and os.path.lexists(output):
        return Renewal(output, wish.name)
    return ClientFiles(output, force=force)


def _connect(config: ClientConfig, store: Callable[[str], None], way: str) -> bool:
    """Run the reactor until the server has accepted or refused this client. Return whether the token was exchanged for
    a lasting one. `way` names the transport in errors. Raises JoinFailed, or what `store` raised."""
    from twisted.internet import reactor as running

    reactor: Any = running
    use_monotonic(reactor)
    results: list[Any] = []
    interrupted: list[bool] = []
    handshake = ClientHandshake(
        config.name, config.token.get_secret_value(), secrets.token_bytes(16), f"gotunnel/{__version__}", (ENROL,)
    )
    enrolment = Enrolment(reactor, _path(config, reactor, way), store)

    def begin() -> None:
        running = Deferred.fromCoroutine(enrolment.run(handshake))
        running.addBoth(results.append).addBoth(lambda _: interrupted or reactor.stop())

    def stopping() -> None:
        if not results:  # Ctrl-C: it also breaks the connection, which is then not the reason for the failure
            interrupted.append(True)

    reactor.addSystemEventTrigger("before", "shutdown", stopping)
    reactor.callWhenRunning(begin)
    reactor.run()
    if interrupted:
        if enrolment.stored:
            raise NotConfirmed(Sentence("interrupted"))
        raise JoinFailed("interrupted; nothing was written, and the token is as good as before")
    if isinstance(results[0], Failure):
        error = results[0].value
        if isinstance(error, GotunnelError) and not isinstance(error, (ConfigError, NotConfirmed)):
            raise JoinFailed(_explained(error, config)) from None
        results[0].raiseException()
    return bool(results[0])


def _path(config: ClientConfig, reactor: Any, way: str) -> ServerPath:
    (server,) = config.all_servers
    try:
        identity = None if config.tls.mode == "off" else ClientIdentity(config, reactor, legs=False)
    except TlsFilesError as broken:
        raise ConfigError([Problem(PROGRAM, None, "", str(broken), "")]) from None
    try:
        transport = None if config.transport is None else made("transport", config.transport, reactor)
    except GotunnelError as broken:
        raise ConfigError([Problem(PROGRAM, None, way, str(broken), "")]) from None
    tls = None if identity is None else identity.tls.towards[server.host].creator
    return ServerPath(reactor, server, tls, transport=transport)


def _explained(error: GotunnelError, config: ClientConfig) -> str:
    if isinstance(error, Unreachable):
        return Sentence(
            "{error}; is the server running, and does every firewall on the way let this machine reach it?",
            error=error,
        )
    cure = CURES.get(getattr(error, "code", ""), "")
    said = Sentence(
        "{server_addr} does not let {config} in: {error}",
        server_addr=config.server_addr, config=config.name, error=printable(error, 256),
    )
    return Sentence("{said}; {cure}", said=said, cure=cure) if cure else said


def _problem_of(path: Path) -> bool:
    """Return whether the new file cannot be used as it is, for example because it publishes nothing yet."""
    try:
        load_client(path, without_token())
    except ConfigError:
        return True
    return False


def _tell(
    wish: Wish, files: ClientFiles | Renewal, *, enrolled: bool, doubt: str, load_problem: bool, as_json: bool
) -> None:
    config, token = files.config, files.token
    if as_json:
        facts = {
            "name": wish.name, "server": wish.server, "config": str(config), "token_file": str(token),
            "enrolled": enrolled, "confirmed": not doubt, "kept": None if files.kept is None else str(files.kept),
            "edit": load_problem,
        }  # fmt: skip
        click.echo(json.dumps(facts))
        return
    say(Sentence("This machine is now the client {name} of {server}: both ends hold the token.", name=wish.name,
                 server=wish.server))  # fmt: skip
    if doubt:
        say(Sentence("The server's last answer did not arrive ({reason}); the token that was written works anyway.",
                     reason=doubt))  # fmt: skip
    elif enrolled:
        say(Sentence("The one-time token is used up; the server gave this client a token of its own."))
    if isinstance(files, Renewal):
        say(Sentence("Written: {token}; {config} is unchanged.", token=token, config=config))
        say(Sentence("A client that is running keeps using its former token: restart it."))
        return
    say(Sentence("Written: {config}, and {token}, which only this user may read.", config=config, token=token))
    if files.kept is not None:
        say(Sentence("The former configuration was kept as {kept}.", kept=files.kept))
    click.echo()
    say(Sentence("Next:"))
    steps = _steps(_word(config), load_problem=load_problem)
    said = of_environment()
    for number, (purpose, step) in enumerate(steps, 1):
        label = said.sentence(purpose)
        what = said.sentence(step) if isinstance(step, Sentence) else step
        click.echo(f"  {number}. {label}{' ' * max(1, LABEL - cell_len(label))}{what}")


def _steps(config: str, *, load_problem: bool) -> list[tuple[Sentence, str]]:
    """Return the next steps: the purpose of each, and the command."""
    steps: list[tuple[Sentence, str]] = []
    if os.environ.get(VARIABLE):
        steps.append((Sentence("two tokens are an error:"), f"unset {VARIABLE}"))
    if load_problem:
        edit = Sentence("edit {config}: the lines under mappings", config=config)
        steps.append((Sentence("name what to publish:"), edit))
    steps.append((Sentence("see what it would do:"), f"gotunnel check {config}"))
    steps.append((Sentence("run it:"), f"gotunnel-client --config {config}"))
    return steps


def _word(path: Path) -> str:
    return shlex.quote(str(path))

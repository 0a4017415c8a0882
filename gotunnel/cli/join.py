"""`gotunnel join`: makes this machine a client of a server that knows it already. Connects once, proves the token, and
leaves a configuration and a token file behind; it publishes nothing itself."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from gotunnel import __version__
from gotunnel.cli.clientfiles import ClientFiles
from gotunnel.cli.logoutput import begin_logging
from gotunnel.cli.tokeninput import VARIABLE, given_token
from gotunnel.cli.words import problems
from gotunnel.client.enrolment import Enrolment, NotConfirmed
from gotunnel.client.identity import ClientIdentity
from gotunnel.config.load import load_client
from gotunnel.config.model import ClientConfig
from gotunnel.errors import ConfigError, GotunnelError, Problem, printable
from gotunnel.logs import set_level
from gotunnel.net.clock import use_monotonic
from gotunnel.net.dialer import ServerPath, Unreachable
from gotunnel.net.tls import TlsFilesError
from gotunnel.tap.exits import one_line_errors
from gotunnel.wire.greeting import ENROL
from gotunnel.wire.handshake import ClientHandshake

__all__ = ["Wish", "client_section", "config_text", "join_server"]

PROGRAM = "gotunnel join"

WORDS: Mapping[tuple[str, ...], str] = {
    ("name",): "--name",
    ("server_addr",): "HOST:PORT",
    ("token",): "the token",
    ("tls", "ca"): "--ca",
    ("tls", "cert"): "--cert",
    ("tls", "key"): "--key",
    ("tls", "pin"): "--pin",
    ("local_ports",): "--ports",
    ("mappings", "local"): "--local",
    ("mappings", "remote"): "--remote",
}
"""What the command line calls the keys of a configuration."""

CURES = {
    "auth_failed": "the token is wrong, was used already or has expired, or the server has no client of this name "
    "(a server does not say which): on the server, `gotunnel client list` shows them, and "
    "`gotunnel client rotate NAME --print-join` makes another line like this one",
    "bad_server_mac": "the token is not the server's, or somebody sits between it and this machine",
    "name_in_use": "stop the other one, or join with another name",
    "tls_required": "the server wants TLS: leave --plain out",
    "timeout": "is that a gotunnel server? With `tls: {mode: off}` there, say --plain",
    "closed": "is that a gotunnel server? With `tls: {mode: off}` there, say --plain",
}
"""What to do about the wire's codes."""


class JoinFailed(GotunnelError):
    """The server could not be joined; one line says why and what to do."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asks for. `remote` has one entry for each of `local`."""

    server: str
    name: str
    pin: str | None = None
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    plain: bool = False
    ports: str | None = None
    local: tuple[str, ...] = ()
    remote: tuple[str, ...] = ()


def client_section(wish: Wish) -> dict[str, Any]:
    """Return the `client:` section, but for its token. Raises ConfigError for what contradicts itself."""
    if len(wish.local) != len(wish.remote):
        cure = "give each --local a --remote with its port on the server"
        raise ConfigError([Problem(PROGRAM, None, "--local", "and --remote do not come in pairs", cure)])
    section: dict[str, Any] = {"name": wish.name, "server_addr": wish.server}
    tls: dict[str, Any] = {"mode": "off"} if wish.plain else {}
    for key, path in (("ca", wish.ca), ("cert", wish.cert), ("key", wish.key)):
        if path is not None:
            tls[key] = os.path.abspath(path)
    if wish.pin is not None:
        tls["pin"] = wish.pin
    if tls:
        section["tls"] = tls
    if wish.ports is not None:
        section["local_ports"] = [_port(item) for item in wish.ports.split(",")]
    if wish.local:
        section["mappings"] = [
            {"local": _port(local), "remote": _port(remote)}
            for local, remote in zip(wish.local, wish.remote, strict=True)
        ]
    return section


def config_of(section: Mapping[str, Any], token: str) -> ClientConfig:
    """Return what the file will mean. Raises ConfigError in the words of the command line."""
    whole = {**section, "token": token}
    if "local_ports" not in whole and "mappings" not in whole:
        whole["mappings"] = [{"local": 1, "remote": 1}]  # what is to be published is for later, and for a person
    try:
        return ClientConfig.model_validate(whole)
    except ValidationError as error:
        raise ConfigError(problems(error, PROGRAM, WORDS)) from None


def config_text(section: Mapping[str, Any], token_file: str) -> str:
    """Return the file. Values are written as JSON, which YAML contains and which it can read in one way only."""
    lines = [
        f"# Written by `{PROGRAM}`. `gotunnel check` says what this file does, docs/en/configuration.md what it may.",
        "client:",
        f"  name: {_written(section['name'])}",
        f"  token_file: {_written(token_file)}",
        f"  server_addr: {_written(section['server_addr'])}",
    ]
    if "tls" in section:
        lines += ["  tls:", *(f"    {key}: {_written(value)}" for key, value in section["tls"].items())]
    if "local_ports" in section:
        lines.append(f"  local_ports: {_written(section['local_ports'])}")
    if "mappings" in section:
        lines += ["  mappings:", *(f"    - {_written(mapping)}" for mapping in section["mappings"])]
    if "local_ports" not in section and "mappings" not in section:
        lines += [
            "  # What to publish: take the # away, and put your own service and a port of the server's in.",
            "  # mappings:",
            "  #   - {name: web, local: 8000, remote: 18000}",
        ]
    return "\n".join(lines) + "\n"


def join_server(wish: Wish, output: str, *, force: bool, as_json: bool) -> None:
    """Join, and say what to do next. Raises SystemExit when that is not possible."""
    with one_line_errors(PROGRAM):
        if len(wish.server) >= 32 and not set(wish.server) & set(".:["):
            raise ConfigError([Problem(PROGRAM, None, "HOST:PORT", "looks like a token", "pipe the token in")])
        section, files = client_section(wish), ClientFiles(Path(output), force=force)
        files.check()
        token = given_token(PROGRAM)
        config = config_of(section, token)
        set_level("warn")
        begin_logging(sys.stderr, "text")

        def store(lasting: str) -> None:
            files.save(lasting, lambda token_file: config_text(section, token_file))

        doubt = ""
        try:
            enrolled = _connect(config, store)
        except NotConfirmed as lost:
            enrolled, doubt = True, str(lost)
        if not enrolled:
            store(token)
        assert files.token is not None
        load_problem = _problem_of(files.config)
    _tell(wish, files, enrolled=enrolled, doubt=doubt, load_problem=load_problem, as_json=as_json)


def _connect(config: ClientConfig, store: Any) -> bool:
    """Run the reactor until the server has let us in or not. Raises JoinFailed, or what `store` raised."""
    from twisted.internet import reactor as running

    reactor: Any = running
    use_monotonic(reactor)
    results: list[Any] = []
    handshake = ClientHandshake(
        config.name, config.token.get_secret_value(), secrets.token_bytes(16), f"gotunnel/{__version__}", (ENROL,)
    )
    enrolment = Enrolment(reactor, _path(config, reactor), store)

    def begin() -> None:
        running = Deferred.fromCoroutine(enrolment.run(handshake))
        running.addBoth(results.append).addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run()
    if not results:
        if enrolment.stored:
            raise NotConfirmed("interrupted")
        raise JoinFailed("interrupted; nothing was written, and the token is as good as before")
    if isinstance(results[0], Failure):
        error = results[0].value
        if isinstance(error, GotunnelError) and not isinstance(error, (ConfigError, NotConfirmed)):
            raise JoinFailed(_explained(error, config)) from None
        results[0].raiseException()
    return bool(results[0])


def _path(config: ClientConfig, reactor: Any) -> ServerPath:
    if config.tls.mode == "off":
        return ServerPath(reactor, config.server_addr, None)
    try:
        return ServerPath(reactor, config.server_addr, ClientIdentity(config, reactor, legs=False).tls.creator)
    except TlsFilesError as broken:
        raise ConfigError([Problem(PROGRAM, None, "", str(broken), "")]) from None


def _explained(error: GotunnelError, config: ClientConfig) -> str:
    if isinstance(error, Unreachable):
        return f"{error}; is the server running, and does every firewall on the way let this machine reach it?"
    cure = CURES.get(getattr(error, "code", ""), "")
    said = f"{config.server_addr} does not let {config.name} in: {printable(error, 256)}"
    return f"{said}; {cure}" if cure else said


def _problem_of(path: Path) -> bool:
    """Say whether the file that was written cannot be used as it is: it publishes nothing yet, for example."""
    try:
        load_client(path, {key: value for key, value in os.environ.items() if key != VARIABLE})
    except ConfigError:
        return True
    return False


def _tell(
    wish: Wish, files: ClientFiles, *, enrolled: bool, doubt: str, load_problem: bool, as_json: bool
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
    click.echo(f"This machine is the client {wish.name} of {wish.server}: both have proved themselves.")
    if doubt:
        click.echo(f"The server's last word did not come ({doubt}); the token that was written works all the same.")
    elif enrolled:
        click.echo("The one-time token is used up; the server gave this client a token of its own.")
    click.echo(f"Written: {config}, and {token}, which only this user may read.")
    if files.kept is not None:
        click.echo(f"The former configuration is {files.kept} now.")
    steps = [
        f"see what it would do:   gotunnel check {_word(config)}",
        f"run it:                 gotunnel-client --config {_word(config)}",
    ]
    if load_problem:
        steps.insert(0, f"say what to publish:    edit {_word(config)}, the lines behind mappings")
    if os.environ.get(VARIABLE):
        steps.insert(0, f"two tokens are an error: unset {VARIABLE}")
    click.echo("\nNext:")
    for number, step in enumerate(steps, 1):
        click.echo(f"  {number}. {step}")


def _port(text: str) -> int | str:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else text


def _written(value: object) -> str:
    return json.dumps(value).replace("${", "$${")


def _word(path: Path) -> str:
    import shlex

    return shlex.quote(str(path))

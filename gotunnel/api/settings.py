"""Which server a tunnel leads to, under which name, and how both ends prove themselves: a program's options in place of
a file. Two tunnels with equal settings share one session."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from gotunnel.address import parse_host_port
from gotunnel.config.fields import DEFAULT_PORT
from gotunnel.config.model import ClientConfig
from gotunnel.config.source import BROKEN, Document
from gotunnel.config.token_source import VARIABLE, resolve_token
from gotunnel.config.words import own_name, tls_section, validated
from gotunnel.errors import ConfigError, Problem, printable
from gotunnel.net.certificates import TlsFilesError, load_authorities, load_pair

__all__ = ["LONGEST", "PROGRAM", "SERVER_VARIABLE", "Settings", "checked_seconds", "gathered", "refused_option"]

_T = TypeVar("_T")

SERVER_VARIABLE = "GOTUNNEL_SERVER"
"""The variable that names the server if a program does not."""
PROGRAM = "gotunnel"
"""What errors call the source of these options."""
LONGEST = 86_400.0
"""The largest number of seconds for any of these options. It is also the client's `drain_timeout`: whoever closes a
port or the tunnel says how long its visitors have, and can only shorten that time."""

WORDS: Mapping[tuple[str, ...], str] = {
    ("server_addr",): "server",
    ("tls", "ca"): "ca",
    ("tls", "pin"): "pin",
    ("tls", "cert"): "cert",
    ("tls", "key"): "key",
    ("tls", "mode"): "tls",
    ("tls", "server_name"): "server_name",
}
"""The options whose names differ from the keys of a configuration."""


@dataclass(frozen=True, slots=True)
class Settings:
    """`token` takes precedence over `token_file`, and both over the variable GOTUNNEL_TOKEN. A client without a `name`
    gets one made of this machine's name and the first port that it publishes, or the process id."""

    server: str
    name: str | None = None
    token: str | None = field(default=None, repr=False)
    token_file: str | None = None
    pin: str | None = None
    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    server_name: str | None = None
    tls: bool = True
    relay: str = "auto"
    profile: str = "default"

    @classmethod
    def of(cls, server: str | None, **options: Any) -> Settings:
        """Return the settings, with the server's address completed, or taken from the environment if None. Raises
        ConfigError."""
        server = server or os.environ.get(SERVER_VARIABLE, "")
        if not server:
            cure = f'name it, like "server.example:{DEFAULT_PORT}", or set the variable {SERVER_VARIABLE}'
            raise refused_option("server", "is missing", cure)
        try:
            server = str(parse_host_port(server, default_port=DEFAULT_PORT))
        except ValueError as error:
            raise refused_option("server", str(error), f'write it like "server.example:{DEFAULT_PORT}"') from None
        return cls(server, **{key: value for key, value in options.items() if value is not None})

    def config(self, port: int = 0, taken: Container[str] = ()) -> ClientConfig:
        """Return the configuration that a file would give, without mappings. `port` is the first that will be
        published. A client without a name gets none of the names in `taken`. Raises ConfigError, also for files with
        the wrong content."""
        tls = tls_section(self.ca, self.pin, plain=not self.tls)
        for name in ("cert", "key"):
            if getattr(self, name) is not None:
                tls[name] = os.path.abspath(getattr(self, name))
        if self.server_name is not None:
            tls["server_name"] = self.server_name
        section: dict[str, Any] = {
            "name": _free_name(port, taken) if self.name is None else self.name,
            "server_addr": self.server,
            "token": self._token(),
            "relay": self.relay,
            "profile": self.profile,
            "drain_timeout": LONGEST,
            "tls": tls,
            # A file that publishes nothing is refused; a program may publish later.
            "mappings": [{"name": "none", "local": 1, "remote": 0}],
        }
        try:
            found = validated(section, PROGRAM, WORDS)
        except ConfigError as error:
            raise _in_one_line(error.problems) from None
        self._check_files(found)
        return found.model_copy(update={"mappings": ()})

    @staticmethod
    def _check_files(config: ClientConfig) -> None:
        tls = config.tls
        checks: list[tuple[str, Path | None, Callable[[Path], object]]] = [("ca", tls.ca, load_authorities)]
        if tls.key is not None:
            checks.append(("cert", tls.cert, lambda cert, key=tls.key: load_pair(cert, key)))  # type: ignore[misc]
        for name, path, load in checks if tls.mode != "off" else ():
            try:
                if path is not None:
                    load(path)
            except TlsFilesError as failed:
                cure = "name a file of certificates in PEM" if name == "ca" else "name a certificate and its key in PEM"
                raise refused_option(name, printable(failed, 400), cure) from None

    def _token(self) -> Any:
        section: dict[str, Any] = {}
        if self.token is not None:
            section["token"] = self.token
        elif self.token_file is not None:
            section["token_file"] = self.token_file
        env = {key: value for key, value in os.environ.items() if not section or key != VARIABLE}
        document = Document()
        resolve_token("client", section, Path.cwd(), env, document)
        if document.flaws:
            found = [
                Problem(PROGRAM, None, ".".join(map(str, flaw.path[1:])) or "token", flaw.wrong, flaw.cure)
                for flaw in document.flaws
            ]
            raise _in_one_line(found)
        token = section.get("token", BROKEN)
        if token is BROKEN:
            raise refused_option("token", "there is none", f"name a token_file, or set the variable {VARIABLE}")
        return token


def _free_name(port: int, taken: Container[str]) -> str:
    name = own_name("py", str(port or os.getpid()))
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    return next(each for each in names if each not in taken)


KNOWN_ANYWAY = (
    "has no meaning for a protocol factory: getPeer() of each connection is the visitor's own address",
    "leave it out",
)
"""Why a protocol of this process gets no PROXY protocol header, and what to do."""


def refused_option(name: str, wrong: str, cure: str) -> ConfigError:
    """Return the error for one option."""
    return ConfigError([Problem(PROGRAM, None, name, wrong, cure)])


def checked_seconds(name: str, value: Any) -> float:
    """Return a time that a program has given, in seconds. Raises ConfigError if it is not a number from 0 to
    LONGEST."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not 0 <= value <= LONGEST:
        shown = repr(value) if isinstance(value, (int, float, str)) or value is None else f"a {type(value).__name__}"
        cure = f"give a number from 0 to {LONGEST:.0f}, like 30; 0 is none"
        raise refused_option(name, f"{printable(shown, 60)} is not a number of seconds", cure)
    return float(value)


def gathered(*makes: Callable[[], _T]) -> list[_T]:
    """Return the results of these functions. Raises one ConfigError, in one line, with everything that is wrong, so
    that correcting one option does not uncover the next mistake."""
    made: list[_T] = []
    problems: list[Problem] = []
    for make in makes:
        try:
            made.append(make())
        except ConfigError as error:
            problems += [problem for problem in error.problems if problem not in problems]
    if problems:
        raise _in_one_line(problems)
    return made


def _in_one_line(problems: Sequence[Problem]) -> ConfigError:
    # A program may show an exception's text anywhere, and a second line would be taken for something else.
    return ConfigError(problems, " | ")

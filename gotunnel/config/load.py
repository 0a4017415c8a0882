"""Reads a configuration file: YAML, variables, tokens, models. Raises one ConfigError that names all mistakes at
once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from gotunnel.config.expand import expand
from gotunnel.config.kinds import Section
from gotunnel.config.paths import BASE
from gotunnel.config.problems import NOBODY, flaws_of
from gotunnel.config.source import Document, Flaw, Unreadable, parse
from gotunnel.config.token_source import resolve_client_tokens, resolve_token, resolve_token_of
from gotunnel.config.tree import key_name
from gotunnel.errors import ConfigError, Problem, Sentence, printable

if TYPE_CHECKING:
    from gotunnel.config.client import ClientConfig
    from gotunnel.config.file import File
    from gotunnel.config.server import ServerConfig

__all__ = ["load", "load_client", "load_server"]

MAX_BYTES = 256 * 1024
"""Maximum size of a configuration. Keeps a wrong path (a log, a disk) from being read and parsed in full."""

ROLES = ("server", "client")
SHOWN = 400
"""Characters of one sentence of a problem; what it quotes from the file is limited to less."""

# Models are imported where they are needed, so that a running role only holds its own in memory.
_F = TypeVar("_F", bound=Section)


def load(
    path: str | os.PathLike[str], env: Mapping[str, str] | None = None, *, clients_elsewhere: bool = False
) -> File:
    """Read a file with both sections. Variables come from `env`, by default the environment.

    A server without a token and without clients is refused, since nobody could connect, unless `clients_elsewhere` says
    that there are some in its state folder. Raises ConfigError. Paths in the result are absolute; in the file they are
    relative to its folder.
    """
    from gotunnel.config.file import File

    return _load(path, env, ROLES, File, clients_elsewhere)


def load_server(
    path: str | os.PathLike[str], env: Mapping[str, str] | None = None, *, clients_elsewhere: bool = False
) -> ServerConfig:
    """Read the `server` section, which must exist. The `client` section is not examined: its variables and token file
    may belong to another user. Otherwise like `load`. Raises ConfigError."""
    from gotunnel.config.server import ServerFile

    server = _load(path, env, ("server",), ServerFile, clients_elsewhere).server
    if server is None:
        raise ConfigError([_no_section(path, "server")])
    return server


def load_client(path: str | os.PathLike[str], env: Mapping[str, str] | None = None) -> ClientConfig:
    """Read the `client` section, which must exist. The `server` section is not examined. Raises ConfigError."""
    from gotunnel.config.client import ClientFile

    client = _load(path, env, ("client",), ClientFile).client
    if client is None:
        raise ConfigError([_no_section(path, "client")])
    return client


def _no_section(path: str | os.PathLike[str], role: str) -> Problem:
    other = ROLES[1 - ROLES.index(role)]
    cure = f"add {role}: with its keys, or name the {role}'s file"
    return Problem(
        printable(os.fspath(path), SHOWN), None, role, f"the file has no {role} section, only {other}", cure
    )


def _load(
    path: str | os.PathLike[str],
    env: Mapping[str, str] | None,
    roles: Iterable[str],
    model: type[_F],
    clients_elsewhere: bool = False,
) -> _F:
    env = os.environ if env is None else env
    name = printable(os.fspath(path), SHOWN)
    skipped = {role for role in ROLES if role not in roles}
    try:
        document = parse(_read(path))
        found = _validate(document, Path(path).absolute().parent, env, skipped, model, clients_elsewhere)
    except Unreadable as unreadable:
        raise ConfigError([_problem(name, unreadable.flaw)]) from None
    flaws = [flaw for flaw in document.flaws if not flaw.path or flaw.path[0] not in skipped]
    if flaws or found is None:
        # None here: an alias repeats a mistake of the skipped section.
        flaws = flaws or document.flaws
        flaws.sort(key=lambda flaw: flaw.line or 0)
        # dict.fromkeys: the mistake of an anchor is found again at each alias.
        raise ConfigError(list(dict.fromkeys(_problem(name, flaw) for flaw in flaws)))
    return found


def _validate(
    document: Document, base: Path, env: Mapping[str, str], skipped: set[str], model: type[_F], clients_elsewhere: bool
) -> _F | None:
    root = document.root
    if root is None or (root == {} and not document.flaws):
        raise Unreadable(None, "is empty", "write a server: or a client: section into it")
    if not isinstance(root, dict):
        raise Unreadable(document.lines.get(()), "is not a group of keys", "begin with server: or client:")
    tree = {key: value for key, value in root.items() if key not in skipped}
    tree = expand(tree, env, document)
    for role in ROLES:
        if isinstance(tree.get(role), dict):
            resolve_token(role, tree[role], base, env, document)
            resolve_token_of(tree[role].get("admin"), (role, "admin"), base, env, document)
    server = tree.get("server")
    if isinstance(server, dict):
        resolve_client_tokens(server.get("clients"), base, env, document)
        resolve_token_of(server.get("v1"), ("server", "v1"), base, env, document)
        somebody = server.keys() & {"token", "clients_file"} or server.get("clients") or server.get("authenticators")
        if not clients_elsewhere and not somebody:
            path = ("server", "token")
            document.flaws.append(Flaw(path, document.line_of(path), *NOBODY))
    try:
        return model.model_validate(tree, context={BASE: base})
    except ValidationError as error:
        document.flaws += flaws_of(error, document)
        return None


def _opened(path: str, flags: int) -> int:
    """Open a file or a shell's pipe. Opening a pipe that nobody writes to would block for ever, in a thread that
    signals do not end; so the open is non-blocking, and such a pipe reads as empty."""
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    os.set_blocking(descriptor, True)
    return descriptor


def _read(path: str | os.PathLike[str]) -> str:
    try:
        with open(path, "rb", opener=_opened) as file:
            raw = file.read(MAX_BYTES + 1)
    except IsADirectoryError:
        raise Unreadable(None, "is a directory", "name the file in it") from None
    except FileNotFoundError:
        raise Unreadable(
            None, "does not exist", "write it, or name another one: by --config, or behind `gotunnel check`"
        ) from None
    except PermissionError:
        raise Unreadable(
            None, "may not be read by this user", "change its owner or mode, or name another file"
        ) from None
    except (OSError, ValueError) as error:
        reason = printable(getattr(error, "strerror", None) or error).lower()
        raise Unreadable(None, Sentence(
            "cannot be read: {reason}", reason=reason
        ), "name another file") from None
    if len(raw) > MAX_BYTES:
        raise Unreadable(None, f"is longer than {MAX_BYTES} bytes", "name a configuration file")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise Unreadable(line, "is not UTF-8 text", "save the file as UTF-8") from None


def _problem(name: str, flaw: Flaw) -> Problem:
    key = printable(key_name(flaw.path))
    return Problem(name, flaw.line, key, printable(flaw.wrong, SHOWN), printable(flaw.cure, SHOWN))

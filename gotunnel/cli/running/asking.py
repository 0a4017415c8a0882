"""Finds the admin sockets of the roles that run here, and sends requests to them. Prints nothing."""

from __future__ import annotations

import errno
import http.client
import json
import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from gotunnel.admin.face import socket_name
from gotunnel.config.load import load
from gotunnel.errors import GotunnelError, Sentence, printable
from gotunnel.i18n.language import ENGLISH, of_environment
from gotunnel.net.unixlisten import reachable
from gotunnel.tap.role import state_path

__all__ = ["NOTHING", "Process", "Unasked", "Where", "found"]

SECONDS = 10.0
"""Seconds for an answer."""
MOST = 64 * 1024 * 1024
FOLDERS = ("/run/gotunnel", "/var/lib/gotunnel")
"""Where the units in etc/systemd and the container images keep their sockets."""
PATTERN = "gotunnel-{role}*.sock"
NOTHING = (
    "no gotunnel process answers: none runs here, or its socket is elsewhere: name its file (-c), its state folder "
    "(--state) or the socket (--socket)"
)


class Unasked(GotunnelError):
    """A process could not be asked, or it refuses; the text says why, and what to do. `status` is the HTTP status or
    the errno, or 0."""

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(reason)
        self.status = status


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=SECONDS)
        self._path = path

    def connect(self) -> None:
        """Called by http.client."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        with reachable(self._path) as short:
            self.sock.connect(short)


@dataclass(frozen=True, slots=True)
class Process:
    """A running role, by its socket. It answers in the language `lang`."""

    path: str
    lang: str = ENGLISH.name

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """Ask it something. Raises Unasked."""
        return self._exchange("GET", path, query, None)

    def post(self, path: str, **wish: Any) -> dict[str, Any]:
        """Tell it to do something. Raises Unasked."""
        return self._exchange("POST", path, {}, json.dumps(wish).encode())

    def _exchange(self, method: str, target: str, query: dict[str, str], body: bytes | None) -> dict[str, Any]:
        connection = _Connection(self.path)
        asked = query if self.lang == ENGLISH.name else {**query, "lang": self.lang}
        path = f"{target}?{urlencode(asked, errors='replace')}" if asked else target
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
            response = connection.getresponse()
            raw = response.read(MOST)
            answer = json.loads(raw)
        except PermissionError:
            raise Unasked(_of_another(self.path)) from None
        except OSError as failed:
            raise Unasked(Sentence("{path}: {reason}", path=self.path, reason=failed), failed.errno or 0) from None
        except (http.client.HTTPException, ValueError):
            raise Unasked(Sentence(
                "{path}: what answers there is not gotunnel, or it has ended meanwhile", path=self.path
            )) from None
        finally:
            connection.close()
        if not isinstance(answer, dict):
            raise Unasked(Sentence("{path}: what answers there is not gotunnel", path=self.path))
        if "error" in answer:
            raise Unasked(printable(answer["error"], 500), response.status)
        return answer


@dataclass(frozen=True, slots=True)
class Where:
    """What a command line says about which process to ask."""

    socket: str | None = None
    config: str | None = None
    state: str | None = None
    role: str | None = None


def found(where: Where, env: Mapping[str, str] = os.environ, lang: str | None = None) -> list[Process]:
    """Return the processes that answer, servers first. They are asked in the language of the environment, or in `lang`.
    Raises Unasked if there is none, and ConfigError."""
    lang = of_environment(env).name if lang is None else lang
    if where.socket is not None:
        return [Process(where.socket.removeprefix("unix:"), lang)]
    paths = _named(where, env) if where.config is not None else _looked_for(where, env)
    living: list[Process] = []
    denied = ""
    for path in dict.fromkeys(paths):
        problem = _problem(path)
        if problem is None:
            living.append(Process(path, lang))
        elif problem in (errno.EACCES, errno.EPERM):
            denied = _of_another(path)
    if not living:
        raise Unasked(denied or NOTHING)
    return living


def _of_another(path: str) -> Sentence:
    return Sentence("{path} belongs to another user: ask as that user, or as root (sudo)", path=path)


def _folders(where: Where, env: Mapping[str, str]) -> list[Path]:
    """Return where sockets may be. Whoever names a state folder does not mean a process of the system, which might then
    be drained in place of one that does not run."""
    first = env.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    folders = [Path(first)] if first else []
    folders += [state_path(where.state, env)]
    return folders if where.state is not None else [*folders, *map(Path, FOLDERS)]


def _named(where: Where, env: Mapping[str, str]) -> list[str]:
    file = load(str(where.config), clients_elsewhere=True)
    folders, paths = _folders(where, env), []
    for role, section in (("server", file.server), ("client", file.client)):
        if section is None or where.role not in (None, role):
            continue
        if not section.admin.enabled:
            continue
        if section.admin.socket is not None:
            paths.append(section.admin.socket.path)
            continue
        name = socket_name(role, file.client.name if file.client is not None and role == "client" else None)
        paths += [str(folder / name) for folder in folders]
    return paths


def _looked_for(where: Where, env: Mapping[str, str]) -> Iterable[str]:
    folders = _folders(where, env)
    for role in ("server", "client") if where.role is None else (where.role,):
        for folder in folders:
            try:
                yield from sorted(map(str, folder.glob(PATTERN.format(role=role))))
            except OSError:
                continue  # a folder that cannot be read has nothing for us


def _problem(path: str) -> int | None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(SECONDS)
        try:
            with reachable(path) as short:
                probe.connect(short)
        except OSError as failed:
            return failed.errno or errno.EINVAL
    return None

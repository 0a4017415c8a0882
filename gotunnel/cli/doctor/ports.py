"""The ports on which a server accepts clients: whether they are free, or are served while the server runs. Listeners
have certificates of their own."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from gotunnel.address import HostPort, is_wildcard
from gotunnel.cli.doctor.findings import Finding, note, ok, problem, subject, warning
from gotunnel.cli.doctor.way import knock
from gotunnel.config.model import ServerConfig
from gotunnel.errors import DialFailed, Sentence
from gotunnel.net.certificates import TlsFilesError, dates, load_pair
from gotunnel.net.expiry import problem_with, utc_now
from gotunnel.net.listening import listen_failure

__all__ = ["bound", "check_listeners", "near", "taken"]


KEY = "server.listeners"


def near(address: HostPort) -> HostPort:
    """Return the address at which a program on this machine reaches a listener on `address`."""
    return HostPort({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host), address.port)  # noqa: S104


def bound(check: str, address: HostPort, key: str) -> Finding:
    """Check a port on which nothing listens, by binding it for a moment. `key` is its key in the file."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        with socket.socket(family) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind((address.host, address.port))
    except OSError as cause:
        refused = listen_failure(address.host, address.port, cause)
        return problem(check, refused.reason, _cure(refused.code, key))
    if is_wildcard(address.host):
        everywhere = Sentence("{address} is free: no server runs there now, and one could, on all addresses",
                              address=address)  # fmt: skip
        return ok(check, everywhere)
    return ok(check, Sentence("{address} is free: no server runs there now, and one could", address=address))


async def check_listeners(reactor: Any, config: ServerConfig, runs: bool | None, timeout: float) -> list[Finding]:
    """Check the ports of listeners. `runs` says whether this server answers on its own port; None means unknown."""
    found: list[Finding] = []
    for listener in config.listeners:
        check, options = subject("listener", listener), listener.options
        place = getattr(options, "listen", None)
        if isinstance(place, HostPort):
            found.append(await _served(reactor, check, place, runs, timeout))
        cert, key = getattr(options, "cert", None), getattr(options, "key", None)
        if isinstance(cert, Path) and isinstance(key, Path):
            found.append(_certified(check, cert, key))
    return found


def taken(check: str, address: HostPort, key: str, why: str = "") -> Finding:
    """Return that another program has the port; `why` says how that is known."""
    said = Sentence("another program has {address}", address=address)
    if why:
        said = Sentence("another program has {address}: {failed}", address=address, failed=why)
    return problem(check, said, _cure("port_in_use", key))


async def _served(reactor: Any, check: str, address: HostPort, runs: bool | None, timeout: float) -> Finding:
    if address.port == 0:
        return note(check, "not tried: port 0 is any free one, which the server's log tells")
    try:
        await knock(reactor, near(address), timeout)
    except DialFailed:
        if not runs:
            return bound(check, address, KEY)
        said = Sentence("the server is running, but nothing accepts connections on {address}", address=address)
        return problem(check, said, "read its log: it says why, or that it started with another configuration")
    if runs is False:
        return taken(check, address, KEY)
    return ok(check, Sentence("{address} accepts connections", address=address))


def _certified(check: str, cert: Path, key: Path) -> Finding:
    try:
        pair = load_pair(cert, key)
    except (TlsFilesError, OSError) as broken:
        return problem(check, str(broken), "correct its cert and key, or the owner and mode of these files")
    wrong = problem_with(pair.leaf, utc_now())
    if wrong is None:
        return ok(check, Sentence("its certificate is valid until {until:%Y-%m-%d %H:%M} UTC ({file})",
                                  until=dates(pair.leaf)[1], file=cert))  # fmt: skip
    cure = "put a new one into that file, which a running server picks up; clients check this one"
    return warning(check, Sentence("{problem} ({file})", problem=wrong, file=cert), cure)


def _cure(code: str, key: str) -> str:
    if code == "port_in_use":
        return Sentence("stop the program that has it (`ss -ltnp`), or choose another port in {key}", key=key)
    if code == "bad_request":
        return Sentence("write an address of this machine into {key}, or 0.0.0.0", key=key)
    if code == "acl_denied":
        return "choose a port from 1024 on, or give the service AmbientCapabilities=CAP_NET_BIND_SERVICE"
    return Sentence("correct {key}", key=key)

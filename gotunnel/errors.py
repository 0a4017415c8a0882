"""The tree of errors, and the one function that makes a foreign value fit to print. Imports nothing of gotunnel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "AuthRejected",
    "ConfigError",
    "DialFailed",
    "GotunnelError",
    "LocalProtocolError",
    "NotConnected",
    "PortUnavailable",
    "Problem",
    "RemoteProtocolError",
    "printable",
]

PRINTABLE_CHARACTERS = 128
"""How much of a foreign value a log line or an error message shows."""


def printable(value: object, limit: int = PRINTABLE_CHARACTERS) -> str:
    """Return a foreign value as one harmless line: control characters escaped, at most `limit` characters.

    Whatever a peer, a file or a certificate says passes through here before it is logged or printed, so that no line
    break or escape sequence of his reaches a terminal or a log.
    """
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
    if len(text) <= limit and text.isprintable():
        return text
    cut = text[: limit + 1]
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in cut)
    return shown if len(text) <= limit and len(shown) <= limit else shown[: limit - 1] + "…"


class GotunnelError(Exception):
    """The root of all errors that gotunnel raises on purpose. `str()` of each is one line for an operator."""


class LocalProtocolError(GotunnelError):
    """We were about to break the wire contract: a bug of ours, never the peer's fault."""


class RemoteProtocolError(GotunnelError):
    """The peer broke the wire contract. The connection is answered with `error` and closed.

    `code` is the wire code (`protocol_error` unless another one fits), `reason` one line without secrets.
    """

    def __init__(self, reason: str, code: str = "protocol_error") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class AuthRejected(GotunnelError):
    """A handshake ended without proof: the peer refused, or could not prove itself.

    `retry_after` is the peer's wish in seconds, or None. Before the server's MAC is verified it is only a hint.
    """

    def __init__(self, code: str, reason: str = "", retry_after: float | None = None) -> None:
        super().__init__(f"{printable(code)}: {printable(reason)}" if reason else printable(code))
        self.code = code
        self.reason = reason
        self.retry_after = retry_after


class NotConnected(GotunnelError):
    """There is no session with the server, and none came in time; or the tunnel was closed meanwhile."""


class PortUnavailable(GotunnelError):
    """A mapping cannot be opened. `code` is the wire's: acl_denied, port_in_use, not_owner, reserved, limit, no_fds,
    bad_request. `final`: another port would fare no better."""

    def __init__(self, code: str, reason: str, *, final: bool = False) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason
        self.final = final


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a configuration: where it stands, what it is, and what would be right."""

    file: str
    line: int | None
    key: str
    wrong: str
    cure: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        key = f" {self.key}:" if self.key else ""
        return f"{place}:{key} {self.wrong}; {self.cure}" if self.cure else f"{place}:{key} {self.wrong}"


class ConfigError(GotunnelError):
    """A configuration is refused. `problems` holds all of them; `str()` is one line each, or all with `between` between
    them."""

    def __init__(self, problems: Sequence[Problem], between: str = "\n") -> None:
        super().__init__(between.join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class DialFailed(GotunnelError):
    """A target did not answer. `code` goes to the visitor's end as the RST's: refused, unreachable, timeout,
    unknown_host, no_fds, failed."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason

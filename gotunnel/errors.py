"""The tree of errors, the sentences that they say, and the one function that makes a foreign value fit to print.
Imports nothing of gotunnel."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = [
    "AuthRejected",
    "ConfigError",
    "ConfigUnfit",
    "DialFailed",
    "GotunnelError",
    "LocalProtocolError",
    "NotConnected",
    "PortUnavailable",
    "Problem",
    "RemoteProtocolError",
    "Sentence",
    "lines_of",
    "printable",
    "said_behind",
    "system_words",
]

PRINTABLE_CHARACTERS = 128
"""How much of a foreign value a log line or an error message shows."""
SENTENCE_CHARACTERS = 1024
"""How long a sentence of ours may be with all that stands in it."""


class Sentence(str):
    """A sentence of ours with others' words, names and numbers in it: `Sentence("{target}: {reason}", target=…, …)`.

    To whoever takes it as text it is English text. Whoever speaks another language finds the constant format and the
    values, which may be sentences themselves, and need not guess where one ends. str(), printable() and being raised
    keep it; to be put into an f-string makes it mere text.
    """

    __slots__ = ("english", "values")
    english: str
    values: dict[str, object]

    def __new__(cls, english: str, /, **values: object) -> Sentence:
        """Put values into their places in a constant format."""
        # An error is what it says: it is not to keep the frames alive that it came through.
        kept = {name: system_words(value) if isinstance(value, BaseException) else value
                for name, value in values.items()}  # fmt: skip
        self = super().__new__(cls, english.format_map(kept))
        self.english, self.values = english, kept
        return self

    def __str__(self) -> str:
        return self

    def __reduce__(self) -> tuple[object, ...]:
        return _again, (self.english, self.values)

    @classmethod
    def word(cls, text: str) -> Sentence:
        """Return one of our words that is not constant here: the value of an enum, which is nobody's name."""
        return cls(text.replace("{", "{{").replace("}", "}}"))

    @classmethod
    def joined(cls, joint: str, parts: Iterable[str]) -> Sentence:
        """Return sentences behind one another, with "; ", ": " or ", " between them; none that is empty."""
        values = {f"_{number}": part for number, part in enumerate(filter(None, parts))}
        return cls(joint.join(f"{{{name}}}" for name in values), **values)


def _again(english: str, values: dict[str, object]) -> Sentence:
    return Sentence.__new__(Sentence, english, **values)


def said_behind(beginning: str, text: str) -> str:
    """Return a text without its beginning ("192.0.2.1:80: "), as the Sentence that it is where it is one."""
    if isinstance(text, Sentence):
        for value in text.values.values():
            if isinstance(value, str) and beginning + value == text:
                return value
    return text.removeprefix(beginning)


def system_words(error: BaseException) -> str:
    """Return what the system says of an error, without its number and the path, which are said elsewhere."""
    said = error.strerror if isinstance(error, OSError) else None
    return said or str(error) or type(error).__name__


def printable(value: object, limit: int = PRINTABLE_CHARACTERS) -> str:
    """Return a foreign value as one harmless line: control characters escaped, at most `limit` characters.

    Whatever a peer, a file or a certificate says passes through here before it is logged or printed, so that no line
    break or escape sequence of his reaches a terminal or a log. What is foreign in a Sentence has been here before: it
    stays one, whatever `limit` is.
    """
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
    if isinstance(text, Sentence):
        limit = max(limit, SENTENCE_CHARACTERS)
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
        super().__init__(Sentence("{code}: {reason}", code=printable(code), reason=printable(reason)) if reason
                         else printable(code))  # fmt: skip
        self.code = code
        self.reason = reason
        self.retry_after = retry_after


class NotConnected(GotunnelError):
    """There is no session with the server, and none came in time; or the tunnel was closed meanwhile."""


class PortUnavailable(GotunnelError):
    """A mapping cannot be opened. `code` is the wire's: acl_denied, port_in_use, not_owner, reserved, limit, no_fds,
    bad_request. `final`: another port would fare no better."""

    def __init__(self, code: str, reason: str, *, final: bool = False) -> None:
        super().__init__(Sentence("{code}: {reason}", code=code, reason=reason))
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
        said = Sentence.joined("; ", (self.wrong, self.cure))
        return Sentence.joined(": ", (place, self.key, said))


class ConfigError(GotunnelError):
    """A configuration is refused. `problems` holds all of them; `str()` is one line each, or all with `between` between
    them."""

    def __init__(self, problems: Sequence[Problem], between: str = "\n") -> None:
        super().__init__(between.join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class ConfigUnfit(GotunnelError):
    """A configuration without a mistake that names what cannot be had on this machine: to start again is no cure."""


def lines_of(error: BaseException) -> list[str]:
    """Return what an error says, a line for each problem of a ConfigError."""
    if isinstance(error, ConfigError):
        return [str(problem) for problem in error.problems]
    said = str(error)
    return [said] if isinstance(said, Sentence) else said.splitlines()


class DialFailed(GotunnelError):
    """A target did not answer. `code` goes to the visitor's end as the RST's: refused, unreachable, timeout,
    unknown_host, no_fds, failed."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason

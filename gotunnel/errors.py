"""The hierarchy of errors, the sentences in them, and the one function that makes a foreign value safe to print.
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
"""How many characters of a foreign value a log line or an error message shows."""
SENTENCE_CHARACTERS = 1024
"""The largest number of characters of a sentence of ours, with all its values."""


class Sentence(str):
    """A sentence of ours with values in it, which others may have chosen:
    `Sentence("{target}: {reason}", target=…, …)`.

    Used as text, it is English text. Translators get the constant format and the values, which may be sentences
    themselves, so they need not guess where a value ends. str(), printable() and raising it keep the Sentence; an
    f-string makes it plain text.
    """

    __slots__ = ("english", "values")
    english: str
    values: dict[str, object]

    def __new__(cls, english: str, /, **values: object) -> Sentence:
        """Put values into a constant format."""
        # Exceptions are reduced to their text: a sentence must not keep the frames alive that an exception came
        # through.
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
        """Return a word of ours that is not constant here, such as the value of an enum, which is nobody's name."""
        return cls(text.replace("{", "{{").replace("}", "}}"))

    @classmethod
    def joined(cls, joint: str, parts: Iterable[str]) -> Sentence:
        """Return the sentences that are not empty, joined with "; ", ": " or ", "."""
        values = {f"_{number}": part for number, part in enumerate(filter(None, parts))}
        return cls(joint.join(f"{{{name}}}" for name in values), **values)


def _again(english: str, values: dict[str, object]) -> Sentence:
    return Sentence.__new__(Sentence, english, **values)


def said_behind(beginning: str, text: str) -> str:
    """Return a text without its beginning ("192.0.2.1:80: "); a Sentence stays one."""
    if isinstance(text, Sentence):
        for value in text.values.values():
            if isinstance(value, str) and beginning + value == text:
                return value
    return text.removeprefix(beginning)


def system_words(error: BaseException) -> str:
    """Return the system's text for an error, without its number and the path, which appear elsewhere."""
    said = error.strerror if isinstance(error, OSError) else None
    return said or str(error) or type(error).__name__


def printable(value: object, limit: int = PRINTABLE_CHARACTERS) -> str:
    """Return a foreign value as one harmless line: control characters escaped, at most `limit` characters.

    Every text from a peer, a file or a certificate passes through here before it is logged or printed, so that no line
    break or escape sequence in it reaches a terminal or a log. The foreign values in a Sentence have passed through
    here already: it stays a Sentence, whatever `limit` is.
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
    """We were about to violate the protocol: a bug of ours, never the peer's fault."""


class RemoteProtocolError(GotunnelError):
    """The peer has violated the protocol. The connection is answered with `error` and closed.

    `code` is the code on the wire (`protocol_error` unless another one fits); `reason` is one line without secrets.
    """

    def __init__(self, reason: str, code: str = "protocol_error") -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class AuthRejected(GotunnelError):
    """A handshake ended without proof: the peer refused, or could not prove itself.

    `retry_after` is the time in seconds after which the peer wants to be tried again, or None. Before the server's MAC
    is verified it is only a hint.
    """

    def __init__(self, code: str, reason: str = "", retry_after: float | None = None) -> None:
        super().__init__(Sentence("{code}: {reason}", code=printable(code), reason=printable(reason)) if reason
                         else printable(code))  # fmt: skip
        self.code = code
        self.reason = reason
        self.retry_after = retry_after


class NotConnected(GotunnelError):
    """There was no session with the server in time, or the tunnel was closed."""


class PortUnavailable(GotunnelError):
    """A mapping cannot be opened. `code` is the code on the wire: acl_denied, port_in_use, not_owner, reserved, limit,
    no_fds, bad_request. `final` means that another port would not help."""

    def __init__(self, code: str, reason: str, *, final: bool = False) -> None:
        super().__init__(Sentence("{code}: {reason}", code=code, reason=reason))
        self.code = code
        self.reason = reason
        self.final = final


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a configuration: its place, what is wrong, and what would be right."""

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
    """A configuration is refused. `problems` holds all its problems; `str()` has one line for each, or all joined with
    `between`."""

    def __init__(self, problems: Sequence[Problem], between: str = "\n") -> None:
        super().__init__(between.join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class ConfigUnfit(GotunnelError):
    """A configuration is valid but names something that is not available on this machine. Restarting does not help."""


def lines_of(error: BaseException) -> list[str]:
    """Return the lines of an error: one for each problem of a ConfigError."""
    if isinstance(error, ConfigError):
        return [str(problem) for problem in error.problems]
    said = str(error)
    return [said] if isinstance(said, Sentence) else said.splitlines()


class DialFailed(GotunnelError):
    """A target did not answer. `code` goes to the visitor's end as that of the RST: refused, unreachable, timeout,
    unknown_host, no_fds, failed."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason

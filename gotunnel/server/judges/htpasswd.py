"""Authenticates clients by passwords in a file, through `twisted.cred`: lines of NAME:HASH, as in an htpasswd file.

The hash is slow on purpose and therefore computed in a thread.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any

from twisted.cred.checkers import FilePasswordDB
from twisted.cred.credentials import UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.python.failure import Failure
from zope.interface import implementer

from gotunnel.config.judgeoptions import HtpasswdOptions
from gotunnel.config.secretfile import Refused, secret_file
from gotunnel.core.logins import Accepted, Login
from gotunnel.errors import GotunnelError, Sentence, printable
from gotunnel.interfaces import IAuthenticator
from gotunnel.logs import Logger
from gotunnel.wire.keys import same_mac

__all__ = ["Htpasswd", "hashed"]

_FORMAT = re.compile(rb"pbkdf2_sha256\$([1-9][0-9]{3,6})\$([\x21-\x23\x25-\x39\x3b-\x7e]{8,64})\$([0-9a-f]{64})")
_NOBODYS = b"pbkdf2_sha256$%d$nobody-has-this$" + b"0" * 64
"""Compared with the password if the name is not in the file, so that this takes the same time."""
ROUNDS = 600_000
"""The number of rounds of that comparison if the file contains no hash."""
MOST = 16 * 1024 * 1024
"""The largest file, in bytes."""
THREADS = 2
"""The number of hashes computed at a time, each for a good part of a second. Limited because remote peers decide how
many are needed, and other tasks need the reactor's threads too."""
_NO_LINE = b"\n"
"""A value that no line of a file can contain."""


def hashed(username: bytes, password: bytes, stored: bytes) -> bytes:
    """Return the hash of a password with the salt and rounds of a stored hash. Called by FilePasswordDB.

    If `stored` is not a valid hash, the result equals no line, not even an empty one.
    """
    found = _FORMAT.fullmatch(stored)
    if found is None:
        return _NO_LINE
    digest = hashlib.pbkdf2_hmac("sha256", password, found[2], int(found[1])).hex().encode("ascii")
    return _Hash(b"pbkdf2_sha256$%b$%b$%b" % (found[1], found[2], digest))


class _Hash(bytes):
    """A hash for FilePasswordDB, which compares with ==: here that takes constant time."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, bytes) and same_mac(bytes(self), other)

    __hash__ = bytes.__hash__


class _Passwords(FilePasswordDB):
    """The content of a file as read for one login. It is read each time because the file may change at any time."""

    def __init__(self, text: bytes) -> None:
        super().__init__("", hash=hashed)
        self._lines: list[tuple[bytes, bytes]] = []
        self.unknown: list[int] = []  # numbers of lines without a valid hash
        rounds: list[int] = []
        for number, line in enumerate(text.splitlines(), 1):
            name, colon, stored = line.rstrip().partition(b":")
            if not colon or name.startswith(b"#"):
                continue
            self._lines.append((name, stored))
            found = _FORMAT.fullmatch(stored)
            if found is None:
                self.unknown.append(number)
            else:
                rounds.append(int(found[1]))
        # As many rounds as for existing names, so that timing does not reveal which names exist.
        self.nobodys = _NOBODYS % max(rounds, default=ROUNDS)

    def _loadCredentials(self) -> Iterator[tuple[bytes, bytes]]:
        return iter(self._lines)


@implementer(IAuthenticator)
class Htpasswd:
    """Accepts a client whose token is the password, and whose name is the user name, of a line in the file."""

    log = Logger()

    def __init__(self, reactor: Any, options: HtpasswdOptions) -> None:
        self._reactor = reactor
        self._path, self._stay = options.file, options.seconds
        self._places = DeferredSemaphore(THREADS)
        unknown = _Passwords(self._text()).unknown  # so that errors are reported now
        if unknown:
            self.log.warn(
                "line {line} of the passwords {file} has no known hash, so nobody can log in with it: write "
                "NAME:pbkdf2_sha256$ROUNDS$SALT$HEX, as docs/en/plugins.md says{more}",
                line=unknown[0], file=printable(self._path, 400),
                more=Sentence(
                    " ({unknown} more like this)", unknown=len(unknown) - 1
                ) if len(unknown) > 1 else "",
            )  # fmt: skip

    def judge(self, login: Login) -> Deferred[Accepted | None]:
        """See IAuthenticator. A login that is cancelled while it waits for a thread does not use one."""
        return Deferred.fromCoroutine(self._judge(login))

    async def _judge(self, login: Login) -> Accepted | None:
        await self._places.acquire()
        told: Deferred[Accepted | None] = Deferred()

        def over(succeeded: bool, result: Any) -> None:  # runs in the thread, which is busy until now even if cancelled
            self._reactor.callFromThread(self._over, told, result)

        self._reactor.getThreadPool().callInThreadWithCallback(over, self._compare, login)
        return await told

    def _over(self, told: Deferred[Accepted | None], result: Accepted | Failure | None) -> None:
        self._places.release()
        if isinstance(result, Failure):
            told.errback(result)
        else:
            told.callback(result)

    def _text(self) -> bytes:
        """Return the content of the file. Raises GotunnelError.

        FilePasswordDB would treat an unreadable file as a wrong password, and ignores who else can read the file.
        """
        try:
            text = secret_file(self._path, MOST)
        except Refused as refused:
            raise GotunnelError(Sentence("the passwords {line}", line=refused.line)) from None
        if len(text) > MOST:
            raise GotunnelError(Sentence(
                "the passwords {path} are longer than {most} bytes",
                path=printable(self._path, 400), most=MOST,
            ))
        return text

    def _compare(self, login: Login) -> Accepted | None:
        checker = _Passwords(self._text())
        name, password = login.client.encode("ascii"), login.token.encode("ascii")
        try:
            _, stored = checker.getUser(name)
        except KeyError:
            stored = b""
        if _FORMAT.fullmatch(stored) is None:
            hashed(name, password, checker.nobodys)
            return None
        outcome: list[Any] = []
        checker.requestAvatarId(UsernamePassword(name, password)).addBoth(outcome.append)
        if isinstance(outcome[0], Failure):
            outcome[0].trap(UnauthorizedLogin)
            return None
        return Accepted(login.client, seconds=self._stay)

"""Passwords of clients in a file, through `twisted.cred`: one line NAME:HASH each, as in an htpasswd file. The hash is
slow on purpose, and so is computed in a thread."""

from __future__ import annotations

import hashlib
import os
import re
from typing import Any

from twisted.cred.checkers import FilePasswordDB
from twisted.cred.credentials import UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from zope.interface import implementer

from gotunnel.config.judgeoptions import HtpasswdOptions
from gotunnel.core.logins import Accepted, Login
from gotunnel.errors import GotunnelError, Sentence, printable
from gotunnel.interfaces import IAuthenticator

__all__ = ["Htpasswd", "hashed"]

_FORMAT = re.compile(rb"pbkdf2_sha256\$([1-9][0-9]{3,7})\$([\x21-\x23\x25-\x39\x3b-\x7e]{8,64})\$([0-9a-f]{64})")
_NOBODYS = b"pbkdf2_sha256$600000$nobody-has-this$" + b"0" * 64
"""What a password is compared with whose name is not in the file, for the same time."""


def hashed(username: bytes, password: bytes, stored: bytes) -> bytes:
    """Return the hash of a password with the salt and the rounds of a stored one; of one that is no such hash, nothing
    that is equal to it. Called by FilePasswordDB."""
    found = _FORMAT.fullmatch(stored)
    if found is None:
        return b""
    digest = hashlib.pbkdf2_hmac("sha256", password, found[2], int(found[1])).hex().encode("ascii")
    # What it is compared with is the hash, not the password: the time of that tells nothing.
    return b"pbkdf2_sha256$%b$%b$%b" % (found[1], found[2], digest)


@implementer(IAuthenticator)
class Htpasswd:
    """A client's token is its password, its name the user's."""

    def __init__(self, reactor: Any, options: HtpasswdOptions) -> None:
        self._reactor = reactor
        self._path = options.file
        self._check()

    def judge(self, login: Login) -> Deferred[Accepted | None]:
        """See IAuthenticator."""
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), self._judge, login)

    def _check(self) -> None:
        """Raise GotunnelError for a file that cannot be read, or that others can read: FilePasswordDB takes the first
        for a wrong password, and does not mind the second."""
        name = printable(self._path, 400)
        try:
            with self._path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
        except OSError as failed:
            why = (failed.strerror or "it failed").lower()
            raise GotunnelError(Sentence(
                "the passwords {name} cannot be read: {why}", name=name, why=why
            )) from None
        if mode & 0o077:
            raise GotunnelError(Sentence(
                "the passwords {name} can be read or changed by others: chmod 600", name=name
            ))

    def _judge(self, login: Login) -> Accepted | None:
        self._check()
        # A new one each time: it belongs to one thread, and reads what the file holds now.
        checker = FilePasswordDB(str(self._path), hash=hashed)
        name, password = login.client.encode("ascii"), login.token.encode("ascii")
        try:
            checker.getUser(name)
        except KeyError:
            hashed(name, password, _NOBODYS)
            return None
        outcome: list[Any] = []
        checker.requestAvatarId(UsernamePassword(name, password)).addBoth(outcome.append)
        if isinstance(outcome[0], Failure):
            outcome[0].trap(UnauthorizedLogin)
            return None
        return Accepted(login.client)

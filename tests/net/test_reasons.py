"""What Twisted and the system say of connections, in words of ours and in Chinese."""

from __future__ import annotations

import errno
import os
import re

from OpenSSL import SSL
from twisted.internet import error
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.errors import DialFailed, Sentence, system_words
from gotunnel.i18n.language import language
from gotunnel.net.reasons import words_of

ENGLISH = re.compile("[A-Za-z]{4,}")


class WordsTests(SynchronousTestCase):
    """One short reason for each."""

    def test_words(self) -> None:
        """Nothing of how Twisted says it is left, and all of it is said in Chinese."""
        say = language("zh").sentence
        for problem, words in [
            (error.ConnectionDone(), "the other end closed it"),
            (error.ConnectionLost("Connection lost."), "the connection broke"),
            (error.ConnectionAborted(), "closed by this end"),
            (error.ConnectionRefusedError(111, "Connection refused"), "connection refused"),
            (error.TimeoutError(), "no answer in time"),
            (error.TCPTimedOutError(110, "Connection timed out"), "no answer in time"),
            (error.DNSLookupError("no results"), "the name does not resolve"),
            (error.NoRouteError(113, "No route to host"), "no route to it"),
            (error.ConnectError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL)),
             "Cannot assign requested address"),
            (error.ConnectError(None, ""), "it cannot be connected to"),
            (OSError(errno.ENOSPC, "No space left on device", "/a b"), "No space left on device"),
            (DialFailed("timeout", Sentence("{target}: {why}", target="1.2.3.4:5", why="no answer in time")),
             "1.2.3.4:5: no answer in time"),
            (None, "it failed"),
        ]:  # fmt: skip
            said = words_of(problem)
            self.assertEqual(said, words)
            self.assertIsNone(ENGLISH.search(say(said)), say(said))
        broken = words_of(SSL.Error([("SSL routines", "", "wrong version number")]))
        self.assertEqual((broken, say(broken)), ("TLS: wrong version number", "TLS：版本号错误（那边说的不是 TLS）"))

    def test_system(self) -> None:
        """What the system says of files and sockets is in the table, whole and within sentences of ours; what is not in
        it stays as it is."""
        say = language("zh").sentence
        for name in (
            "EACCES", "EADDRINUSE", "EADDRNOTAVAIL", "EAGAIN", "ECONNREFUSED", "ECONNRESET", "EDQUOT", "EHOSTUNREACH",
            "EIO", "EISDIR", "EMFILE", "ENAMETOOLONG", "ENETUNREACH", "ENFILE", "ENOBUFS", "ENOENT", "ENOMEM", "ENOSPC",
            "ENOTDIR", "EPERM", "EPIPE", "EROFS", "ETIMEDOUT",
        ):  # fmt: skip
            words = system_words(OSError(getattr(errno, name), os.strerror(getattr(errno, name)), "/etc/x"))
            self.assertIsNone(ENGLISH.search(say(words)), name)
            inside = Sentence("{path}: {reason}; the state folder must be writable", path="/a", reason=words)
            self.assertEqual(say(Sentence("{path}: {reason}", path="/a", reason=words)), f"/a: {say(words)}")
            self.assertEqual(str(inside), f"/a: {words}; the state folder must be writable")
        odd = os.strerror(errno.ENOTEMPTY)
        self.assertEqual(say(odd), odd)

"""HTTP for the admin API, on twisted.web's parser with narrow limits: one request per connection, with a deadline.
`api` and `browser` make the answers, `guard` decides who may ask. Imported at the first request."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from typing import Any
from urllib.parse import parse_qsl

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.web import http

from gotunnel.admin.api import Answer, Api
from gotunnel.admin.browser import CSP, Browser
from gotunnel.admin.face import Refused
from gotunnel.admin.guard import ONCE, OPEN, PAGE, Guard
from gotunnel.admin.logins import Logins
from gotunnel.admin.pieces import Pieces
from gotunnel.admin.spoken import asked_for, known, load, spoken
from gotunnel.core.view import plain
from gotunnel.errors import Sentence, printable
from gotunnel.i18n.language import ENGLISH, Language
from gotunnel.logs import Logger

__all__ = ["Channel"]

MOST_BODY = 64 * 1024
"""Bytes of a request's body."""
MOST_HEAD = 16 * 1024
"""Bytes of the request line and the headers; there may be MOST_HEADERS of these."""
MOST_HEADERS = 64
MOST_FIELDS = 16
"""Fields of the query."""
ASK_WITHIN = 5.0
"""Seconds from the connection to the end of the request, whatever is sent meanwhile."""
AT_MOST = 30.0
"""The largest number of seconds for an answer."""
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Connection": "close",
}


class Request(http.Request):
    """One request."""

    log = Logger()
    channel: Channel
    refused: tuple[int, str] | None = None
    lang = ENGLISH.name

    def gotLength(self, length: int | None) -> None:
        """The headers are complete. A body that is too long is not read."""
        if length is None:
            self.refused = 411, "a body needs a Content-Length"
        elif length > MOST_BODY:
            self.refused = 413, Sentence("a body has at most {most_body} bytes", most_body=MOST_BODY)
        super().gotLength(0 if self.refused else length)
        if self.refused:
            self.channel.refuse(*self.refused)

    def handleContentChunk(self, data: bytes) -> None:
        """A piece of the body has arrived."""
        if self.refused is None:
            super().handleContentChunk(data)

    def process(self) -> None:
        """The request is complete."""
        if self.refused is not None:
            return
        self.channel.has_asked()
        try:
            self._answer()
        except Refused as refused:
            self._say(Answer({"error": str(refused)}, refused.status))
        except Exception:  # noqa: BLE001 - whatever goes wrong here is reported, and must not affect visitors
            self._broke(Failure())

    def _answer(self) -> None:
        method = self.method.decode("ascii", "replace")
        target, _, query = self.uri.decode("ascii", "replace").partition("?")
        if method not in ("GET", "HEAD", "POST"):
            raise Refused("only GET, HEAD and POST are known here", 405)
        headers: dict[str, bytes] = {}
        for raw, values in self.requestHeaders.getAllRawHeaders():
            name = raw.lower().decode("ascii", "replace")
            if len(values) > 1 and name in ONCE:
                raise Refused(Sentence("the header {name} is there more than once", name=name))
            headers[name] = values[0]
        all_told = self.channel.guard.admit(method, target, headers, self._source())
        try:
            asked = dict(parse_qsl(query, max_num_fields=MOST_FIELDS, keep_blank_values=True))
        except ValueError:
            raise Refused(Sentence(
                "a query has at most {most_fields} fields", most_fields=MOST_FIELDS
            )) from None
        self.lang = asked_for(asked)
        api = self.channel.api
        if target in OPEN or target.startswith(PAGE):
            self._browser(method, target, headers)
            return
        if method == "POST":
            acting: Deferred[Any] = maybeDeferred(api.act, target, self._wish())
            acting.addCallbacks(lambda answer: self._say(Answer(answer)), self._failed)
            acting.addErrback(lambda failure: self.log.failure("answering on the admin socket failed", failure))
            return
        if target == "/metrics":
            if query:
                raise Refused("/metrics takes no parameters")
            self._metrics(headers.get("accept", b"").decode("ascii", "replace"))
            return
        if query and not all_told:
            # Without the token, nobody learns which clients there are.
            raise Refused("to ask for more than /healthz or /readyz needs the token: Authorization: Bearer TOKEN", 401)
        answering: Deferred[Any] = maybeDeferred(api.get, target, asked)
        answering.addCallback(
            lambda answer: self._say(answer if all_told else Answer(answer.brief or {}, answer.status))
        )
        answering.addErrback(self._failed)
        answering.addErrback(lambda failure: self.log.failure("answering on the admin socket failed", failure))

    def _browser(self, method: str, target: str, headers: dict[str, bytes]) -> None:
        browser, acting = self.channel.browser, target in ("/login", "/logout")
        if acting != (method == "POST"):
            raise Refused("this changes something: POST it" if acting else "this can only be read: GET it", 405)
        if target == "/login":
            self._say(browser.log_in(self._wish(), headers, self._source()))
        elif target == "/logout":
            self._say(browser.log_out(headers))
        elif target == "/session":
            self._say(browser.session(headers))
        else:
            file = browser.file(target)
            self._head(200, file.kind)
            self.setHeader("Content-Security-Policy", CSP)
            self.setHeader("Cache-Control", "no-cache")
            if self.setETag(file.tag) is not http.CACHED and method != "HEAD":
                self.write(file.body)
            self.finish()

    def _source(self) -> str:
        return getattr(self.channel.transport.getPeer(), "host", "the socket")

    def _wish(self) -> dict[str, Any]:
        raw = b"" if self.content is None else self.content.read()
        try:
            wish = json.loads(raw.decode() or "{}")  # json would guess other encodings, too
        except (ValueError, RecursionError):
            raise Refused("the body is not JSON") from None
        if not isinstance(wish, dict):
            raise Refused("the body is not a JSON object")
        return wish

    def _metrics(self, accept: str) -> None:
        # In a thread: the import takes a while, and visitors must not wait. On demand, because it takes memory, and
        # not everybody has a Prometheus.
        pool = self.channel.clock.getThreadPool()
        loading = deferToThreadPool(self.channel.clock, pool, import_module, "gotunnel.admin.metrics")
        loading.addCallback(self._expose, accept).addErrback(self._failed)
        loading.addErrback(lambda failure: self.log.failure("answering on the admin socket failed", failure))

    def _expose(self, metrics: Any, accept: str) -> None:
        kind, text = metrics.exposition(self.channel.api, accept)
        if not self._disconnected:
            self._head(200, kind)
            self.write(text)
            self.finish()

    def _failed(self, failure: Failure) -> None:
        if failure.check(Refused):
            refused = failure.value
            assert isinstance(refused, Refused)
            self._say(Answer({"error": str(refused)}, refused.status))
        else:
            self._broke(failure)

    def _broke(self, failure: Failure) -> None:
        self.log.failure("answering {path} on the admin socket failed", failure, path=printable(self.uri))
        self._say(Answer({"error": "this failed; the log of this process says why"}, 500))

    def _say(self, answer: Answer) -> None:
        said = known(self.lang)
        if said is not None:
            self._write_out(answer, said)
            return
        loading = deferToThreadPool(self.channel.clock, self.channel.clock.getThreadPool(), load, self.lang)
        loading.addCallback(lambda loaded: self._write_out(answer, loaded))
        loading.addErrback(lambda failure: self.log.failure("answering on the admin socket failed", failure))

    def _write_out(self, answer: Answer, said: Language) -> None:
        if self._disconnected:
            return
        content = spoken(answer.content, said)
        self._head(answer.status, "application/json")
        for name, value in answer.headers.items():
            self.setHeader(name, value)
        if self.method == b"HEAD":
            self.finish()
        elif any(hasattr(value, "__next__") for value in content.values()):
            Pieces(self.channel.clock, content, self, self.finish).start()
        else:
            self.write((json.dumps(plain(content)) + "\n").encode())
            self.finish()

    def _head(self, status: int, kind: str) -> None:
        self.setResponseCode(status)
        for name, value in HEADERS.items():
            self.setHeader(name, value)
        self.setHeader("Content-Type", kind)
        if status == 401:
            self.setHeader("WWW-Authenticate", "Bearer")


class Channel(http.HTTPChannel):
    """One connection."""

    transport: Any
    requestFactory = Request
    totalHeadersSize = MOST_HEAD
    maxHeaders = MOST_HEADERS
    timeOut = None  # there is one deadline for everything

    def __init__(self, api: Api, guard: Guard, logins: Logins, clock: Any, gone: Callable[[], None]) -> None:
        super().__init__()
        self.api = api
        self.guard = guard
        self.browser = Browser(api.face, logins, guard, clock)
        self.clock = clock
        self._gone = gone
        self._deadline: IDelayedCall | None = None
        self.asked = False
        """Whether the request is complete."""

    def connectionMade(self) -> None:
        """A connection has been accepted."""
        self._deadline = self.clock.callLater(ASK_WITHIN, self.transport.abortConnection)
        super().connectionMade()

    def has_asked(self) -> None:
        """The request is complete: from now on the time depends on the answer, and on the reader."""
        self.asked = True
        if self._deadline is not None and self._deadline.active():
            self._deadline.reset(AT_MOST)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection has closed."""
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        super().connectionLost(reason)
        self._gone()

    def checkPersistence(self, request: Any, version: bytes) -> bool:
        """Allow one request per connection, so that a connection has one deadline, and the limits of a request."""
        return False

    def refuse(self, status: int, reason: str) -> None:
        """Answer a request whose body is not read."""
        body = json.dumps({"error": reason}).encode() + b"\n"
        head = f"HTTP/1.1 {status} {http.RESPONSES[status].decode()}\r\nContent-Type: application/json\r\n"
        self.transport.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        self.loseConnection()

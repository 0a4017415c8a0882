"""A client's first exchange with a Go server in version 1: it registers a port or delivers a leg."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from gotunnel.errors import AuthRejected, GotunnelError, RemoteProtocolError, Sentence
from gotunnel.net.greeting import Greeting
from gotunnel.wire import v1

__all__ = ["V1Greeting"]


class V1Greeting(Greeting):
    """`register` or `data_channel` → `register_resp`. `done` fires with the transport and the bytes behind the answer,
    or fails with AuthRejected, with the server's reason, or RemoteProtocolError; the connection is then aborted."""

    def __init__(self, clock: IReactorTime, timeout: float, first: v1.Register | v1.DataChannel) -> None:
        super().__init__(clock, timeout)
        self._message = first

    def _first(self) -> bytes:
        return v1.encode(self._message)

    def _answer(self, payload: bytes) -> None:
        try:
            answer = v1.decode(payload)
        except GotunnelError:
            raise RemoteProtocolError("the server does not speak version 1") from None
        if not isinstance(answer, v1.Answer):
            raise RemoteProtocolError(Sentence(
                "expected register_resp, got {name}", name=type(answer).__name__
            ))
        if answer.status != "ok":
            raise AuthRejected("refused", answer.reason or "the server gives no reason")
        self._succeed(None)

"""Asks an HTTP service about clients that present their token, or about what clients and visitors may do."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from gotunnel.config.judgeoptions import WebhookOptions
from gotunnel.core.logins import Accepted, Dial, Entry, Login, Publication
from gotunnel.errors import Sentence, printable
from gotunnel.interfaces import IAccessPolicy, IAuthenticator
from gotunnel.server.judges.asking import Answer, Asker, NoAnswer
from gotunnel.server.judges.secret import secret_in

__all__ = ["WebhookAccess", "WebhookAuthenticator"]


class _Webhook:
    """The common part of both webhooks."""

    keys: str

    def __init__(self, reactor: Any, options: WebhookOptions) -> None:
        self._asker = Asker(reactor, options.url, options.ca, self.keys)
        self._secret_file: Path | None = options.secret_file
        if self._secret_file is not None:
            secret_in(self._secret_file)  # so that errors are reported now

    async def _ask(self, question: dict[str, Any]) -> Answer:
        secret = None if self._secret_file is None else secret_in(self._secret_file)
        answer = await self._asker.ask(question, secret)
        if answer.status not in (200, 401, 403):
            raise NoAnswer(Sentence("it answers with status {status}", status=answer.status))
        if answer.status == 200 and not isinstance(answer.body.get("allow"), bool):
            raise NoAnswer("its answer has no allow, which would be true or false")
        return answer


@implementer(IAuthenticator)
class WebhookAuthenticator(_Webhook):
    """Asks whether a client may log in."""

    keys = "server.authenticators"

    def judge(self, login: Login) -> Deferred[Accepted | None]:
        """See IAuthenticator."""
        return Deferred.fromCoroutine(self._judge(login))

    async def _judge(self, login: Login) -> Accepted | None:
        answer = await self._ask({"client": login.client, "token": login.token, "address": login.address})
        if answer.status != 200 or not answer.body["allow"]:
            return None
        who, ports, seconds = (answer.body.get(key) for key in ("who", "allow_ports", "seconds"))
        try:
            return Accepted(
                "" if who is None else printable(who), tuple(ports) if isinstance(ports, list) else ports, seconds
            )
        except ValueError as refused:
            raise NoAnswer(Sentence("its answer is of no use: {refused}", refused=refused)) from None


@implementer(IAccessPolicy)
class WebhookAccess(_Webhook):
    """Asks whether ports, dials and visitors are allowed."""

    keys = "server.access"

    def publish(self, publication: Publication) -> Deferred[str | None]:
        """See IAccessPolicy."""
        return Deferred.fromCoroutine(self._allowed("publish", publication))

    def dial(self, dial: Dial) -> Deferred[str | None]:
        """See IAccessPolicy."""
        return Deferred.fromCoroutine(self._allowed("dial", dial))

    def enter(self, entry: Entry) -> Deferred[str | None]:
        """See IAccessPolicy."""
        return Deferred.fromCoroutine(self._allowed("enter", entry))

    async def _allowed(self, what: str, question: Publication | Dial | Entry) -> str | None:
        answer = await self._ask({"ask": what, **asdict(question)})
        if answer.status == 200 and answer.body["allow"]:
            return None
        reason = answer.body.get("reason")
        return printable(reason, 200) if isinstance(reason, str) and reason else "the webhook says no"

"""Asks authenticators about clients that present their token, one after the other, with a time limit.

The rights of accepted clients are in `guests`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.task import deferLater

from gotunnel.config.plugged import AuthenticatorConfig
from gotunnel.core.logins import Accepted, Login
from gotunnel.core.loglimit import LogLimit
from gotunnel.errors import GotunnelError, Sentence, printable
from gotunnel.logs import Logger
from gotunnel.net.answers import answer
from gotunnel.net.plugged import made

__all__ = ["AT_ONCE", "Logins", "Unanswered"]

AT_ONCE = 64
"""The number of logins judged at the same time; further clients are asked to retry."""
SHARE = 0.8
"""The share of `handshake_timeout` for all authenticators together, so that there is time to answer the client."""


class Unanswered(GotunnelError):
    """No authenticator accepted the client, and not all of them answered. It is refused, and may retry."""


class Logins:
    """The authenticators of one server. Raises GotunnelError if one cannot be made."""

    log = Logger()

    def __init__(self, reactor: Any, configs: Iterable[AuthenticatorConfig], lines: LogLimit | None = None) -> None:
        """`lines` limits the log lines that remote peers can cause."""
        self._reactor = reactor
        self._lines = lines or LogLimit(rate=0.2, burst=5)
        self._all = [(config, made("authenticator", config, reactor)) for config in configs]
        self._judged = 0
        self._took = 0.0  # seconds that the last rejection took

    @property
    def configs(self) -> list[AuthenticatorConfig]:
        """Their configurations, in the order in which they are asked."""
        return [config for config, _ in self._all]

    async def judge(
        self, login: Login, patience: float, *, ask: bool = True
    ) -> tuple[Accepted, AuthenticatorConfig] | None:
        """Return how the client is accepted, and by which authenticator; None if by none.

        `patience` are the seconds for all authenticators together. If `ask` is False, nobody is asked: it returns None
        after the time that the last rejection took. Raises Unanswered; cancelling gives up.
        """
        if self._judged >= AT_ONCE:
            more = self._more("crowd")
            if more is not None:
                self.log.warn(
                    "client {client} was told to come again: {most} other logins are being judged{more}",
                    client=login.client, most=AT_ONCE, more=more,
                )  # fmt: skip
            raise Unanswered("too many logins are being judged")
        self._judged += 1
        begun = self._reactor.seconds()
        try:
            if not ask:
                await deferLater(self._reactor, min(self._took, patience * SHARE))
                return None
            found = await self._judge(login, begun + patience * SHARE)
        finally:
            self._judged -= 1
        if found is None:
            self._took = self._reactor.seconds() - begun
        return found

    async def _judge(self, login: Login, deadline: float) -> tuple[Accepted, AuthenticatorConfig] | None:
        unanswered = ""
        for index, (config, authenticator) in enumerate(self._all):
            # Divide the remaining time, so that a silent authenticator does not use up that of the others.
            patience = max(0.0, deadline - self._reactor.seconds()) / (len(self._all) - index)
            try:
                verdict = await answer(self._reactor, patience, authenticator.judge, login)
                if verdict is not None and not isinstance(verdict, Accepted):
                    raise TypeError(f"it answered with a {type(verdict).__name__}")
            except CancelledError:
                raise
            except (Exception, SystemExit) as error:  # noqa: BLE001 - third-party plugin: any exception admits nobody
                unanswered = config.plugin
                self._no_answer(login, config, error)
                continue
            if verdict is not None:
                # `who` is logged, and the service may have repeated the token in it.
                return replace(verdict, who=verdict.who.replace(login.token, "(the token)")), config
        if unanswered:
            raise Unanswered(Sentence("the authenticator {unanswered} has no answer", unanswered=unanswered))
        return None

    def _no_answer(self, login: Login, config: AuthenticatorConfig, error: BaseException) -> None:
        more = self._more(config.plugin)
        if more is None:
            return
        # The error's text might contain the token.
        reason = printable(str(error).replace(login.token, "(the token)") or type(error).__name__, 200)
        self.log.error(
            "the authenticator {authenticator} has no answer for client {client}, which is not let in: "
            "{reason}{more}",
            authenticator=config.plugin, client=login.client, reason=reason, more=more,
        )  # fmt: skip

    def _more(self, kind: str) -> str | None:
        return self._lines.more(("authenticators", kind), self._reactor.seconds())

"""Asks authenticators about clients that show their token, one after the other, within a time. What an accepted client
may do is in `guests`."""

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
"""Logins that are judged side by side; who is one too many is asked to come again."""
SHARE = 0.8
"""Of `handshake_timeout`, for all authenticators together: the client is to hear what became of it."""


class Unanswered(GotunnelError):
    """Nobody has accepted the client, and not all could be asked: it is not let in, and may come again."""


class Logins:
    """The authenticators of one server. Raises GotunnelError when one cannot be made."""

    log = Logger()

    def __init__(self, reactor: Any, configs: Iterable[AuthenticatorConfig], lines: LogLimit | None = None) -> None:
        """`lines` limits what strangers can cause in the log."""
        self._reactor = reactor
        self._lines = lines or LogLimit(rate=0.2, burst=5)
        self._all = [(config, made("authenticator", config, reactor)) for config in configs]
        self._judged = 0
        self._took = 0.0  # seconds, for the last no

    @property
    def configs(self) -> list[AuthenticatorConfig]:
        """What they were made of, in the order in which they are asked."""
        return [config for config, _ in self._all]

    async def judge(
        self, login: Login, patience: float, *, ask: bool = True
    ) -> tuple[Accepted, AuthenticatorConfig] | None:
        """Return who has accepted it, and how; None: nobody has. `patience` are the seconds that all have together.
        Without `ask` nobody is asked, and nobody accepts it, after the time that others have taken for a no. Raises
        Unanswered; cancelling gives up."""
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
            # Those behind it are to have their share, whoever is silent.
            patience = max(0.0, deadline - self._reactor.seconds()) / (len(self._all) - index)
            try:
                verdict = await answer(self._reactor, patience, authenticator.judge, login)
                if verdict is not None and not isinstance(verdict, Accepted):
                    raise TypeError(f"it answered with a {type(verdict).__name__}")
            except CancelledError:
                raise
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin of somebody's: whatever it raises lets nobody in
                unanswered = config.plugin
                self._no_answer(login, config, error)
                continue
            if verdict is not None:
                # It goes into the log, and the service may have said what it was shown.
                return replace(verdict, who=verdict.who.replace(login.token, "(the token)")), config
        if unanswered:
            raise Unanswered(Sentence("the authenticator {unanswered} has no answer", unanswered=unanswered))
        return None

    def _no_answer(self, login: Login, config: AuthenticatorConfig, error: BaseException) -> None:
        more = self._more(config.plugin)
        if more is None:
            return
        # Whatever the error says might hold the token.
        reason = printable(str(error).replace(login.token, "(the token)") or type(error).__name__, 200)
        self.log.error(
            "the authenticator {authenticator} has no answer for client {client}, which is not let in: "
            "{reason}{more}",
            authenticator=config.plugin, client=login.client, reason=reason, more=more,
        )  # fmt: skip

    def _more(self, kind: str) -> str | None:
        return self._lines.more(("authenticators", kind), self._reactor.seconds())

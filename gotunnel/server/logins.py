"""Asks authenticators about clients that show their token, one after the other, within a time. What an accepted client
may do is in `guests`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred

from gotunnel.config.plugged import AuthenticatorConfig
from gotunnel.core.logins import Accepted, Login
from gotunnel.errors import GotunnelError, Sentence, printable
from gotunnel.logs import Logger
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

    def __init__(self, reactor: Any, configs: Iterable[AuthenticatorConfig]) -> None:
        self._reactor = reactor
        self._all = [(config, made("authenticator", config, reactor)) for config in configs]
        self._judged = 0

    @property
    def configs(self) -> list[AuthenticatorConfig]:
        """What they were made of, in the order in which they are asked."""
        return [config for config, _ in self._all]

    async def judge(self, login: Login, patience: float) -> tuple[Accepted, AuthenticatorConfig] | None:
        """Return who has accepted it, and how; None: nobody has. `patience` are the seconds that all have together.
        Raises Unanswered."""
        if self._judged >= AT_ONCE:
            raise Unanswered("too many logins are being judged")
        self._judged += 1
        try:
            return await self._judge(login, self._reactor.seconds() + patience * SHARE)
        finally:
            self._judged -= 1

    async def _judge(self, login: Login, deadline: float) -> tuple[Accepted, AuthenticatorConfig] | None:
        unanswered = ""
        for config, authenticator in self._all:
            asking: Deferred[Accepted | None] = maybeDeferred(authenticator.judge, login)
            if not asking.called:
                asking.addTimeout(max(0.0, deadline - self._reactor.seconds()), self._reactor)
            try:
                verdict = await asking
                if verdict is not None and not isinstance(verdict, Accepted):
                    raise TypeError(f"it answered with a {type(verdict).__name__}")
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin of somebody's: whatever it raises lets nobody in
                unanswered = config.plugin
                self._no_answer(login, config, error)
                continue
            if verdict is not None:
                return verdict, config
        if unanswered:
            raise Unanswered(Sentence("the authenticator {unanswered} has no answer", unanswered=unanswered))
        return None

    def _no_answer(self, login: Login, config: AuthenticatorConfig, error: BaseException) -> None:
        # Whatever the error says might hold the token.
        reason = printable(str(error).replace(login.token, "(the token)") or type(error).__name__, 200)
        self.log.error(
            "the authenticator {authenticator} has no answer for client {client}, who is not let in: {reason}",
            authenticator=config.plugin, client=login.client, reason=reason,
        )  # fmt: skip

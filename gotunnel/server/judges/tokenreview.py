"""Authenticates clients by asking a Kubernetes API server (TokenReview, authentication.k8s.io/v1).

Clients that run in the cluster need no secret but the token of their service account.
"""

from __future__ import annotations

import re
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from gotunnel.config.judgeoptions import TokenReviewOptions
from gotunnel.core.logins import Accepted, Login
from gotunnel.errors import GotunnelError, Sentence
from gotunnel.interfaces import IAuthenticator
from gotunnel.net.certificates import TlsFilesError
from gotunnel.server.judges.asking import Asker, NoAnswer
from gotunnel.server.judges.secret import secret_in

__all__ = ["TokenReview"]

PATH = "/apis/authentication.k8s.io/v1/tokenreviews"
_ACCOUNT = re.compile(r"system:serviceaccount:([a-z0-9-]{1,63}):([a-z0-9.-]{1,253})")


@implementer(IAuthenticator)
class TokenReview:
    """Accepts service accounts. The options define the client name for a namespace and account name."""

    def __init__(self, reactor: Any, options: TokenReviewOptions) -> None:
        self._options = options
        try:
            self._asker = Asker(reactor, options.api.rstrip("/") + PATH, options.ca, "server.authenticators")
        except TlsFilesError as broken:
            raise GotunnelError(Sentence(
                "the authorities of kube-apiserver cannot be used: {problem}; name their file with ca of "
                "tokenreview: its default exists in a pod alone",
                problem=broken,
            )) from None
        secret_in(options.secret_file)  # so that errors are reported now

    def judge(self, login: Login) -> Deferred[Accepted | None]:
        """See IAuthenticator."""
        return Deferred.fromCoroutine(self._judge(login))

    async def _judge(self, login: Login) -> Accepted | None:
        options = self._options
        review = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": login.token, "audiences": list(options.audiences)},
        }
        answer = await self._asker.ask(review, secret_in(options.secret_file))
        if answer.status not in (200, 201):
            hint = "; may its service account create tokenreviews?" if answer.status in (401, 403) else ""
            raise NoAnswer(Sentence(
                "kube-apiserver answers with status {status}{hint}", status=answer.status, hint=hint
            ))
        status = answer.body.get("status")
        if not isinstance(status, dict):
            raise NoAnswer("the answer of kube-apiserver has no status")
        if status.get("authenticated") is not True:
            return None
        if status.get("error"):
            raise NoAnswer("kube-apiserver names an error beside its yes")
        # An API server that does not support audiences returns none, and has not checked them.
        meant = status.get("audiences")
        if not isinstance(meant, list) or not any(audience in meant for audience in options.audiences):
            return None
        user = status.get("user")
        name = user.get("username") if isinstance(user, dict) else None
        account = _ACCOUNT.fullmatch(name) if isinstance(name, str) else None
        if account is None or (options.namespaces and account[1] not in options.namespaces):
            return None
        client = options.client.replace("{namespace}", account[1]).replace("{name}", account[2])
        return Accepted(account[0], seconds=options.seconds) if client == login.client else None

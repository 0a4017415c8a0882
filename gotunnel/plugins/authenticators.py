"""Who clients are: those that show their token, and those that prove that they hold one."""

from __future__ import annotations

from gotunnel.config.judgeoptions import HtpasswdOptions, TokenReviewOptions, WebhookOptions
from gotunnel.config.keyoptions import IdentitiesOptions, SharedTokenOptions
from gotunnel.interfaces import IAuthenticator, IKeyAuthenticator
from gotunnel.plugin import Plugin

__all__ = ["htpasswd", "identities", "token", "tokenreview", "webhook"]

webhook = Plugin(
    IAuthenticator,
    "webhook",
    "gotunnel.server.judges.webhook.WebhookAuthenticator",
    options=WebhookOptions,
    summary="asks a service of yours by HTTP",
    check="gotunnel.server.judges.webhook.check_authenticator",
)
tokenreview = Plugin(
    IAuthenticator,
    "tokenreview",
    "gotunnel.server.judges.tokenreview.TokenReview",
    options=TokenReviewOptions,
    summary="asks kube-apiserver whose service account it is",
    check="gotunnel.server.judges.tokenreview.check",
)
htpasswd = Plugin(
    IAuthenticator,
    "htpasswd",
    "gotunnel.server.judges.htpasswd.Htpasswd",
    options=HtpasswdOptions,
    summary="looks into a file with names and hashes of passwords",
    check="gotunnel.server.judges.htpasswd.check",
)
identities = Plugin(
    IKeyAuthenticator,
    "identities",
    "gotunnel.server.keyauthenticators.FiledIdentities",
    options=IdentitiesOptions,
    summary="knows the clients of one more clients file, each by keys of its own",
    check="gotunnel.server.keyauthenticators.check_identities",
)
token = Plugin(
    IKeyAuthenticator,
    "token",
    "gotunnel.server.keyauthenticators.FiledToken",
    options=SharedTokenOptions,
    summary="knows whoever holds one more shared token",
    check="gotunnel.server.keyauthenticators.check_token",
)

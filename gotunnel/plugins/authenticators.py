"""Authenticators: decide which clients come in, by tokens that clients show, or by tokens that clients prove to
hold."""

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
    check=True,
)
tokenreview = Plugin(
    IAuthenticator,
    "tokenreview",
    "gotunnel.server.judges.tokenreview.TokenReview",
    options=TokenReviewOptions,
    summary="asks kube-apiserver whose service account it is",
    check=True,
)
htpasswd = Plugin(
    IAuthenticator,
    "htpasswd",
    "gotunnel.server.judges.htpasswd.Htpasswd",
    options=HtpasswdOptions,
    summary="looks into a file with names and hashes of passwords",
    check=True,
)
identities = Plugin(
    IKeyAuthenticator,
    "identities",
    "gotunnel.server.keyauthenticators.FiledIdentities",
    options=IdentitiesOptions,
    summary="knows the clients of one more clients file, each by keys of its own",
    check=True,
)
token = Plugin(
    IKeyAuthenticator,
    "token",
    "gotunnel.server.keyauthenticators.FiledToken",
    options=SharedTokenOptions,
    summary="knows whoever holds one more shared token",
    check=True,
)

"""Whether clients that show their token may come in."""

from __future__ import annotations

from gotunnel.config.judgeoptions import HtpasswdOptions, TokenReviewOptions, WebhookOptions
from gotunnel.interfaces import IAuthenticator
from gotunnel.plugin import Plugin

__all__ = ["htpasswd", "tokenreview", "webhook"]

webhook = Plugin(
    IAuthenticator,
    "webhook",
    "gotunnel.server.judges.webhook.WebhookAuthenticator",
    options=WebhookOptions,
    summary="asks a service of yours by HTTP",
)
tokenreview = Plugin(
    IAuthenticator,
    "tokenreview",
    "gotunnel.server.judges.tokenreview.TokenReview",
    options=TokenReviewOptions,
    summary="asks kube-apiserver whose service account it is",
)
htpasswd = Plugin(
    IAuthenticator,
    "htpasswd",
    "gotunnel.server.judges.htpasswd.Htpasswd",
    options=HtpasswdOptions,
    summary="looks into a file with names and hashes of passwords",
)

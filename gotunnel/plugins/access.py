"""Access policies: the last word on what clients publish and reach, and on visitors."""

from __future__ import annotations

from gotunnel.config.judgeoptions import NetworksOptions, WebhookOptions
from gotunnel.interfaces import IAccessPolicy
from gotunnel.plugin import Plugin

__all__ = ["networks", "webhook"]

networks = Plugin(
    IAccessPolicy,
    "networks",
    "gotunnel.server.judges.networks.Networks",
    options=NetworksOptions,
    summary="lets visitors in by their addresses",
)
webhook = Plugin(
    IAccessPolicy,
    "webhook",
    "gotunnel.server.judges.webhook.WebhookAccess",
    options=WebhookOptions,
    summary="asks a service of yours by HTTP",
    check=True,
)

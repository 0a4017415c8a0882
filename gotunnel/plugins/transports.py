"""Transports and their listeners: how clients reach a server."""

from __future__ import annotations

from gotunnel.config.wsoptions import WebSocketListenerOptions, WebSocketOptions
from gotunnel.interfaces import ITransportListener, ITransportProvider
from gotunnel.plugin import Plugin

__all__ = ["listener", "tcp", "websocket"]

tcp = Plugin(ITransportProvider, "tcp", "gotunnel.net.endpoint.TcpTransport", summary="a TCP connection, as without it")
websocket = Plugin(
    ITransportProvider,
    "websocket",
    "gotunnel.net.ws.websocket",
    options=WebSocketOptions,
    summary="a WebSocket, with TLS around it, through an HTTP proxy if there must be one",
    check=True,
)
listener = Plugin(
    ITransportListener,
    "websocket",
    "gotunnel.net.ws.listener",
    options=WebSocketListenerOptions,
    summary="takes clients that come through WebSockets",
    check="gotunnel.net.ws.check_listener",
)

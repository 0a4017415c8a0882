"""gotunnel inside WebSockets, for networks that allow nothing else. Loaded only if a configuration names it."""

from __future__ import annotations

from typing import Any

from gotunnel.errors import GotunnelError

__all__ = ["check_listener", "listener", "websocket"]


def websocket(*arguments: Any) -> Any:
    """Make the transport of a client. Raises GotunnelError, also if the library wsproto is missing."""
    _check()
    from gotunnel.net.ws.client import WebSocketTransport

    return WebSocketTransport(*arguments)


def listener(*arguments: Any) -> Any:
    """Make the listener of a server. Raises GotunnelError, also if the library wsproto is missing."""
    _check()
    from gotunnel.net.ws.server import WebSocketListener

    return WebSocketListener(*arguments)


def check_listener(options: Any) -> None:
    """Check the options; see IExtension. Whether the address can be listened on is not tried here."""
    _check()
    from gotunnel.net.ws.certificate import ListenerCertificate

    if options.cert is not None and options.key is not None:
        ListenerCertificate(None, options.cert, options.key)


def _check() -> None:
    try:
        import wsproto  # noqa: F401 - only to see whether it is installed
    except ImportError:
        raise GotunnelError(
            "the plugin websocket needs the library wsproto: pip install 'gotunnel[websocket]'"
        ) from None

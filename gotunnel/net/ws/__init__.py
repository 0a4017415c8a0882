"""gotunnel inside WebSockets, for networks that let nothing else out. Loaded where a configuration names it."""

from __future__ import annotations

from typing import Any

from gotunnel.errors import GotunnelError

__all__ = ["check_listener", "listener", "websocket"]


def websocket(*arguments: Any) -> Any:
    """Return a client's way. Raises GotunnelError, also where the library is missing."""
    _check()
    from gotunnel.net.ws.client import WebSocketTransport

    return WebSocketTransport(*arguments)


def listener(*arguments: Any) -> Any:
    """Return a server's end, likewise."""
    _check()
    from gotunnel.net.ws.server import WebSocketListener

    return WebSocketListener(*arguments)


def check_listener(options: Any) -> None:
    """See IExtension: where it listens is tried later."""
    _check()
    from gotunnel.net.ws.certificate import ListenerCertificate

    if options.cert is not None and options.key is not None:
        ListenerCertificate(None, options.cert, options.key)


def _check() -> None:
    try:
        import wsproto  # noqa: F401 - to know whether it is there
    except ImportError:
        raise GotunnelError(
            "the plugin websocket needs the library wsproto: pip install 'gotunnel[websocket]'"
        ) from None

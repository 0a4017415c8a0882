"""Creates the plugins that a server's configuration names, except the relay, and then replaces all at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gotunnel.config.model import ServerConfig
from gotunnel.errors import GotunnelError, Sentence
from gotunnel.net.plugged import Carried, checked, observers_prepared
from gotunnel.server.allocation import Allocation
from gotunnel.server.keyring import Keyring

if TYPE_CHECKING:
    from gotunnel.server.hub import Hub

__all__ = ["check_authenticators", "plugins_prepared", "plugins_stopped"]


def plugins_prepared(hub: Hub, config: ServerConfig, reactor: Any) -> Callable[[], None]:
    """Create the plugins of this configuration, and return a function that puts them in place of the current ones.

    Unchanged plugins are reused. Raises GotunnelError; nothing has changed then.
    """
    allocation = hub.allocation
    if config.port_allocator is None:
        allocation = None
    elif allocation is None or allocation.config != config.port_allocator:
        allocation = Allocation(reactor, config.port_allocator)
    logins = None
    shown = [each for each in config.authenticators if each.shown]
    if shown:
        from gotunnel.server.logins import Logins

        before = hub.logins
        same = before is not None and before.configs == shown
        logins = before if same else Logins(reactor, shown, hub.stranger_lines)
    keyring = Keyring(reactor, [each for each in config.authenticators if not each.shown], hub.keyring)
    _check_secrets(keyring, config)
    access = hub.access
    if config.access is None:
        access = None
    elif access is None or access.config != config.access:
        from gotunnel.server.access import Access  # loaded only if configured

        access = Access(reactor, config.access, hub.stranger_lines, hub.entering)
    observe = observers_prepared(hub.usage, config.observers, reactor, "server", lambda: _carried(hub))

    def use() -> None:
        hub.allocation, hub.logins, hub.access = allocation, logins, access
        hub.use_keyring(keyring)
        hub.guests.keep(config.authenticators)
        observe()

    return use


def check_authenticators(config: ServerConfig) -> None:
    """Raise the GotunnelError that a server with this configuration would raise for its authenticators, if any.

    Third-party authenticators are not created.
    """
    for each in config.authenticators:
        checked(each.kind, each)
    from gotunnel.config.keyoptions import IdentitiesOptions, SharedTokenOptions  # usually not needed

    files = (IdentitiesOptions, SharedTokenOptions)
    _check_secrets(Keyring(None, [each for each in config.authenticators if isinstance(each.options, files)]), config)


def _check_secrets(keyring: Keyring, config: ServerConfig) -> None:
    overheard = config.v1.token
    opened = None if overheard is None else keyring.opened_by(overheard.get_secret_value())
    if opened is not None:
        what = Sentence(
            "a token of the authenticator {plugin} is that of server.v1 too, and crosses the wire in clear",
            plugin=opened.plugin,
        )
        raise GotunnelError(Sentence("{what}; give one of the two another token", what=what))


def plugins_stopped(hub: Hub) -> None:
    """Stop the observers at the end of the server."""
    if hub.usage.observers is not None:
        hub.usage.observers.stop()


def _carried(hub: Hub) -> Carried:
    from gotunnel.server.streams import Streams  # only observers and operators need it

    return ((of, carried) for of, _, carried in Streams(hub).served())

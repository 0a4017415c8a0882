"""Makes what a configuration names a plugin for. Knows no kind of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any

from gotunnel.config.plugged import ObserverConfig, PluginConfig
from gotunnel.core.usage import Usage
from gotunnel.errors import GotunnelError, Sentence

__all__ = ["Carried", "checked", "found", "made", "observers_prepared", "tried"]

Carried = Iterable[tuple[Hashable, tuple[int, int]]]
"""Visitors who are served, and their bytes so far, to the target and back."""


def found(kind: str, name: str) -> Any:
    """Return the plugin of that name, which the configuration was checked for. Raises GotunnelError."""
    # Loaded by who names a plugin, and by no others: it takes memory at rest.
    from gotunnel.catalogue import Catalogue

    plugin = Catalogue().find(kind, name)
    if plugin is None:
        raise GotunnelError(Sentence(
            "the plugin {name}, which was installed, is missing now; install it again", name=name
        ))
    return plugin


def made(kind: str, config: PluginConfig, reactor: Any, *more: Any) -> Any:
    """Return what the plugin makes of its options. Raises GotunnelError."""
    return found(kind, config.plugin).make(reactor, config.options, *more)


def checked(kind: str, *configs: PluginConfig | None) -> None:
    """Raise the GotunnelError that making these would raise, as far as their plugins can tell by looking."""
    for config in configs:
        check = None if config is None else getattr(found(kind, config.plugin), "check", None)
        if config is not None and check is not None:
            check(config.options)


def tried(kind: str, before: Iterable[PluginConfig | None], after: Iterable[PluginConfig | None], *more: Any) -> None:
    """Make, and drop, what a restart would make of these configurations, but for those that were there `before`: a file
    that a start would refuse is to be refused while the process that it replaces still runs. Raises GotunnelError."""
    there = list(before)
    for config in after:
        if config is not None and config not in there:
            made(kind, config, *more)


def observers_prepared(
    usage: Usage, configs: tuple[ObserverConfig, ...], reactor: Any, role: str, carried: Callable[[], Carried]
) -> Callable[[], None]:
    """Make the observers that a role is to have from now on, and return what puts them into `usage`. Raises
    GotunnelError, and then nothing has changed."""
    observers = usage.observers
    if observers is None:
        if not configs:
            return lambda: None
        from gotunnel.net.observing import Observers  # loaded where somebody observes, and nowhere else

        observers = Observers(reactor, role, carried)
    use = observers.prepared(configs)

    def put() -> None:
        usage.observers = observers
        use()

    return put

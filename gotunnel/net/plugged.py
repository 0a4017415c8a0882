"""Makes the plugins that a configuration names, of any kind."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any

from gotunnel.config.plugged import ObserverConfig, PluginConfig
from gotunnel.core.usage import Usage
from gotunnel.errors import GotunnelError, Sentence

__all__ = ["Carried", "checked", "found", "made", "observers_prepared", "tried"]

Carried = Iterable[tuple[Hashable, tuple[int, int]]]
"""The visitors being served, with their bytes so far, to the target and back."""


def found(kind: str, name: str) -> Any:
    """Return the plugin of that name; the configuration was checked for it. Raises GotunnelError."""
    # Imported late: it costs an idle process memory, and only plugins need it.
    from gotunnel.catalogue import Catalogue

    plugin = Catalogue().find(kind, name)
    if plugin is None:
        raise GotunnelError(Sentence(
            "the plugin {name}, which was installed, is missing now; install it again", name=name
        ))
    return plugin


def made(kind: str, config: PluginConfig, reactor: Any, *more: Any) -> Any:
    """Return what the plugin makes from its options. Raises GotunnelError."""
    return found(kind, config.plugin).make(reactor, config.options, *more)


def checked(kind: str, *configs: PluginConfig | None) -> None:
    """Raise the GotunnelError that making these would raise, as far as the plugins can check without making."""
    for config in configs:
        check = None if config is None else getattr(found(kind, config.plugin), "check", None)
        if config is not None and check is not None:
            check(config.options)


def tried(kind: str, before: Iterable[PluginConfig | None], after: Iterable[PluginConfig | None], *more: Any) -> None:
    """Make and drop what a restart would make of these configurations, except those that were there `before`. So a file
    that a start would refuse is refused while the current process still runs. Raises GotunnelError."""
    there = list(before)
    for config in after:
        if config is not None and config not in there:
            made(kind, config, *more)


def observers_prepared(
    usage: Usage, configs: tuple[ObserverConfig, ...], reactor: Any, role: str, carried: Callable[[], Carried]
) -> Callable[[], None]:
    """Make the observers that a role will have from now on, and return a function that puts them into `usage`. Raises
    GotunnelError, and then nothing has changed."""
    observers = usage.observers
    if observers is None:
        if not configs:
            return lambda: None
        from gotunnel.net.observing import Observers  # imported late: only needed with observers

        observers = Observers(reactor, role, carried)
    use = observers.prepared(configs)

    def put() -> None:
        usage.observers = observers
        use()

    return put

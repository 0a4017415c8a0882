"""Dials what the rules allow. A name is resolved first, each of its addresses is checked, and an address that passed is
dialled. So DNS cannot direct a dial to where the rules forbid it."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime

from gotunnel.address import HostPort, UnixPath
from gotunnel.dialrules import DialRules
from gotunnel.errors import DialFailed, Sentence
from gotunnel.interfaces import ILocal, IRelay
from gotunnel.net.ownaddress import is_own

__all__ = ["NOT_ALLOWED", "Resolve", "reach", "still_allowed"]

Resolve = Callable[[HostPort, float], Deferred[list[str]]]
"""Looks up a name within so many seconds. Fires with at least one IP address, or fails with DialFailed."""

NOT_ALLOWED = "not_allowed"
"""The code of a dial that no rule allows."""


def reach(
    clock: IReactorTime,
    relay: IRelay,
    rules: Callable[[], DialRules],
    target: HostPort | UnixPath,
    timeout: float,
    resolve: Resolve,
) -> ILocal | Deferred[ILocal]:
    """Connect to `target` within `timeout` seconds; returns the same as `IRelay.dial`. Raises DialFailed (not_allowed)
    at once if no rule matches. `rules` returns the rules in force: they can change while a name is looked up and its
    addresses are dialled."""
    if isinstance(target, UnixPath):
        if not rules().allows_path(target.path):
            raise _refused(target)
        return _dial(relay, target, timeout)
    try:
        ipaddress.ip_address(target.host.partition("%")[0])
    except ValueError:
        if not rules().may_resolve(target.host, target.port):
            raise _refused(target) from None
        return Deferred.fromCoroutine(_by_name(clock, relay, rules, target, timeout, resolve))
    if not rules().allows(target.host, target.port):
        raise _refused(target)
    return _dial(relay, target, timeout)


def still_allowed(rules: DialRules, target: HostPort | UnixPath, reached: str) -> bool:
    """Return whether a target that earlier rules allowed is allowed by these. `reached` is the IP address that was
    dialled, empty while a name is being resolved."""
    if isinstance(target, UnixPath):
        return rules.allows_path(target.path)
    try:
        ipaddress.ip_address(target.host.partition("%")[0])
    except ValueError:
        name: str | None = target.host
    else:
        name, reached = None, target.host
    if not reached:
        return rules.may_resolve(target.host, target.port)
    return rules.allows(reached, target.port, name, is_own)


async def _by_name(
    clock: IReactorTime, relay: IRelay, rules: Callable[[], DialRules], target: HostPort, timeout: float,
    resolve: Resolve,
) -> ILocal:  # fmt: skip
    def allows(host: str) -> bool:
        return rules().allows(host, target.port, target.host, is_own)

    def still_allows(host: str) -> bool:
        return rules() is before or allows(host)  # to check it may mean to ask the kernel

    deadline = clock.seconds() + timeout
    found = await resolve(target, timeout)
    before = rules()
    allowed = [host for host in found if allows(host)]
    if not allowed:
        if is_own(found[0]):
            raise DialFailed(
                NOT_ALLOWED,
                Sentence(
                    "{target} resolves to {found}, an address of the server itself: that takes a rule by "
                    "address",
                    target=target, found=found[0],
                ),
            )
        raise DialFailed(NOT_ALLOWED, Sentence(
            "{target} resolves to {found}, which no rule allows", target=target, found=found[0]
        ))
    failed: DialFailed | None = None
    for position, host in enumerate(allowed):
        # Each address gets its share of the time, so that one that does not answer leaves some for the others.
        share = (deadline - clock.seconds()) / (len(allowed) - position)
        if share <= 0:
            break
        if not still_allows(host):
            continue
        try:
            dialled = _dial(relay, HostPort(host, target.port), share)
            local = await dialled if isinstance(dialled, Deferred) else dialled
        except CancelledError:
            raise
        except DialFailed as error:
            failed = error
        else:
            if still_allows(host):
                return local
            local.abort()
            raise _refused(target)
    raise failed or DialFailed("timeout", Sentence("{target}: no answer in time", target=target))


def _dial(relay: IRelay, target: HostPort | UnixPath, timeout: float) -> ILocal | Deferred[ILocal]:
    dialled: ILocal | Deferred[ILocal] = relay.dial(target, timeout)
    return dialled


def _refused(target: HostPort | UnixPath) -> DialFailed:
    return DialFailed(NOT_ALLOWED, Sentence(
        "{target} is not allowed (allow_dial of this client on the server)", target=target
    ))

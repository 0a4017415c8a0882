"""Delivers events of the fast relay's descriptors: from its own loop inside the reactor, or from any Twisted reactor.
Reads and writes nothing itself."""

from __future__ import annotations

import select
from abc import abstractmethod
from collections.abc import Callable
from time import monotonic
from typing import Any, Protocol

from twisted.internet.interfaces import IReadWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from gotunnel.logs import Logger

__all__ = ["ERR", "IN", "OUT", "RESET", "Handler", "Mishaps", "Poller", "Pump", "ReactorPoller"]

IN, OUT = select.EPOLLIN, select.EPOLLOUT
ERR = select.EPOLLERR | select.EPOLLHUP
"""The events that are reported even with an empty mask."""

Handler = Callable[[int], None]
"""Called with the events of its descriptor. It must not raise; if it does, the bug is logged and the handler gets `ERR`
once."""

RESET = select.EPOLLERR
"""A reset. The other part of `ERR`, a hang-up, only means that both directions have ended, in whatever way."""

MOST_EVENTS = 128
"""Events taken from the kernel at once, so that the reactor's own descriptors do not have to wait."""


class Poller(Protocol):
    """What the fast relay needs. A descriptor is added once, and removed right before it is closed or handed over. The
    kernel would not forget it on close while another process has the same connection, by `fork`."""

    tells_errors: bool
    """Whether `ERR` is reported even with an empty mask."""

    def add(self, fd: int, mask: int, handler: Handler) -> None: ...
    def set(self, fd: int, mask: int) -> None: ...
    def remove(self, fd: int) -> None: ...


class Mishaps:
    """How a pump deals with a handler that raises."""

    log = Logger()

    @abstractmethod
    def handler_of(self, fd: int) -> Any:
        """Return the handler of a descriptor's events; None if there is none."""

    @abstractmethod
    def remove(self, fd: int) -> None:
        """Stop delivering events of a descriptor."""

    def _failed(self, fd: int, handler: Any, problem: Exception) -> None:
        self.log.failure("moving bytes failed: a bug", Failure(problem))
        if self.handler_of(fd) is handler:
            tell = handler if callable(handler) else handler.handle
            try:
                tell(ERR)
            except Exception:  # noqa: BLE001 - a bug in one connection must not end the others
                self.log.failure("giving up a stream failed: a bug", Failure())
                if self.handler_of(fd) is not None:
                    self.remove(fd)


class Pump(Mishaps):
    """Our own epoll set, on which `fast.reactor` waits; Twisted's set is one descriptor in it."""

    tells_errors = True

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._fresh: set[int] = set()
        self.must_return = False
        """Set by a handler to make `serve` return after the current batch, since the time to wait may have changed. The
        caller of `serve` resets it first."""

    def fileno(self) -> int:
        """Return the descriptor of the epoll set."""
        return self._epoll.fileno()

    def close(self) -> None:
        """Close the epoll set."""
        self._handlers.clear()
        self._epoll.close()

    def add(self, fd: int, mask: int, handler: Handler) -> None:
        """Call `handler` for the events in `mask`, and for errors."""
        self._epoll.register(fd, mask)
        self._handlers[fd] = handler
        self._fresh.add(fd)

    def set(self, fd: int, mask: int) -> None:
        """Change the mask of a descriptor."""
        self._epoll.modify(fd, mask)

    def remove(self, fd: int) -> None:
        """Stop delivering events of a descriptor."""
        del self._handlers[fd]
        self._epoll.unregister(fd)

    def run(self, timeout: float, foreign: int) -> bool:
        """Wait for events up to `timeout` seconds (-1: without limit) and deliver them, once. Returns True if the
        descriptor `foreign`, which has no handler, was among them."""
        found = False
        get = self._handlers.get
        fresh: set[int] = set()
        self._fresh = fresh
        for fd, events in self._epoll.poll(timeout, MOST_EVENTS):
            # A handler may have removed a descriptor that has an event in this batch, and its number may be in use
            # again already: events of the new descriptor come with the next batch.
            handler = get(fd)
            if fd in fresh:
                continue
            if handler is not None:
                try:
                    handler(events)
                except Exception as problem:  # noqa: BLE001 - a bug in one connection must not end the others
                    self._failed(fd, handler, problem)
            elif fd == foreign:
                found = True
            if self._fresh is not fresh:
                break  # the handler ran the loop itself: events that still hold are reported again
        return found

    def serve(self, timeout: float, foreign: int) -> bool:
        """The same, repeatedly, until the time is over, `foreign` is ready, or `must_return` is set."""
        left, until = timeout, monotonic() + timeout
        while not self.run(left, foreign):
            if timeout >= 0:
                left = max(0.0, until - monotonic())
            if self.must_return or left == 0:
                return False
        return True

    def add_foreign(self, fd: int) -> None:
        """Wait for a descriptor that has no handler here."""
        self._epoll.register(fd, IN)

    def handler_of(self, fd: int) -> Handler | None:
        """See Mishaps."""
        return self._handlers.get(fd)


class ReactorPoller:
    """The same on any Twisted reactor, at that reactor's cost per event."""

    tells_errors = False

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._descriptors: dict[int, _Descriptor] = {}

    def add(self, fd: int, mask: int, handler: Handler) -> None:
        """See Pump.add. Errors are not reported with an empty mask: the path watch looks for them."""
        self._descriptors[fd] = _Descriptor(fd, handler)
        self.set(fd, mask)

    def set(self, fd: int, mask: int) -> None:
        """See Pump.set."""
        descriptor, reactor = self._descriptors[fd], self._reactor
        changed, descriptor.mask = descriptor.mask ^ mask, mask
        if changed & IN:
            (reactor.addReader if mask & IN else reactor.removeReader)(descriptor)
        if changed & OUT:
            (reactor.addWriter if mask & OUT else reactor.removeWriter)(descriptor)

    def remove(self, fd: int) -> None:
        """See Pump.remove."""
        self.set(fd, 0)
        self._descriptors.pop(fd).gone = True


@implementer(IReadWriteDescriptor)
class _Descriptor:
    """One descriptor, as Twisted's reactors need it."""

    def __init__(self, fd: int, handler: Handler) -> None:
        self.mask = 0
        self.gone = False
        self._fd = fd
        self._handler = handler

    def fileno(self) -> int:
        return -1 if self.gone else self._fd

    def logPrefix(self) -> str:
        return "gotunnel"

    def doRead(self) -> None:
        if not self.gone:
            self._handler(IN)

    def doWrite(self) -> None:
        if not self.gone:
            self._handler(OUT)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor has removed it already, because of an error on the descriptor or in a handler."""
        self.mask = 0
        if not self.gone:
            self._handler(ERR)

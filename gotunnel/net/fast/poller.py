"""How descriptors of the fast relay hear of their events: from our own loop inside the reactor, or from whatever
reactor there is. Reads and writes nothing."""

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
"""What is told also to those who ask for nothing."""

Handler = Callable[[int], None]
"""Called with the events of its descriptor. It may not raise; if it does, that is logged as a bug and `ERR` is told
to it once."""

RESET = select.EPOLLERR
"""A reset. The other half of `ERR`, a hang-up, only says that both directions have ended, however."""

MOST_EVENTS = 128
"""Events taken from the kernel at once, so that the reactor's own descriptors are not kept waiting."""


class Poller(Protocol):
    """What the fast relay asks for. A descriptor is added once, and removed right before it is closed or handed on: the
    kernel would not forget it by itself as long as another process has the same connection, by `fork`."""

    tells_errors: bool
    """Whether `ERR` is told also to those whose mask is empty."""

    def add(self, fd: int, mask: int, handler: Handler) -> None: ...
    def set(self, fd: int, mask: int) -> None: ...
    def remove(self, fd: int) -> None: ...


class Mishaps:
    """What a pump does about a handler that raises."""

    log = Logger()

    @abstractmethod
    def handler_of(self, fd: int) -> Any:
        """Return who is told of a descriptor's events, None if nobody is."""

    @abstractmethod
    def remove(self, fd: int) -> None:
        """Tell nothing more."""

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
    """Our own epoll set, which `fast.reactor` runs inside the reactor's."""

    tells_errors = True

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._fresh: set[int] = set()
        self.must_return = False
        """Set by a handler: `serve` is to return behind its batch, since what it was told of the time to wait has
        changed. Whoever calls it sets this back before."""

    def fileno(self) -> int:
        """Return the descriptor of the epoll set."""
        return self._epoll.fileno()

    def close(self) -> None:
        """Give the epoll set back."""
        self._handlers.clear()
        self._epoll.close()

    def add(self, fd: int, mask: int, handler: Handler) -> None:
        """Tell `handler` of the events in `mask`, and of errors."""
        self._epoll.register(fd, mask)
        self._handlers[fd] = handler
        self._fresh.add(fd)

    def set(self, fd: int, mask: int) -> None:
        """Change what is told."""
        self._epoll.modify(fd, mask)

    def remove(self, fd: int) -> None:
        """Tell nothing more."""
        del self._handlers[fd]
        self._epoll.unregister(fd)

    def run(self, timeout: float, foreign: int) -> bool:
        """Wait for events up to `timeout` seconds (-1: as long as it takes) and pass them on, once. True when the
        descriptor `foreign`, which has no handler, was among them."""
        found = False
        get = self._handlers.get
        fresh: set[int] = set()
        self._fresh = fresh
        for fd, events in self._epoll.poll(timeout, MOST_EVENTS):
            # A handler may have removed a descriptor whose event is in the same batch, and its number may belong to a
            # new one already: that one's own events come with the next batch.
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
                break  # the handler ran the loop itself: whatever is still true is told anew
        return found

    def serve(self, timeout: float, foreign: int) -> bool:
        """The same, until there is a reason to return: the time is over, `foreign` is ready, or somebody says so."""
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
    """The same on any Twisted reactor, at the price that it has for each event."""

    tells_errors = False

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._descriptors: dict[int, _Descriptor] = {}

    def add(self, fd: int, mask: int, handler: Handler) -> None:
        """See Pump.add. With no mask, errors are not told: the path watch looks for them."""
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
    """One descriptor as Twisted's reactors know it."""

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
        """The reactor has taken it out already, for an error on the descriptor or one that a handler raised."""
        self.mask = 0
        if not self.gone:
            self._handler(ERR)

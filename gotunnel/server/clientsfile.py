"""The clients file of a running server: looked at twice a second, and read again when it has changed. What follows from
it is for the hub. It changes the file only when the server is asked to; a file that cannot be taken changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from gotunnel.config.identitychange import Change, ClientRefused
from gotunnel.config.identityedit import edit_clients
from gotunnel.config.identityfile import FileIdentity, load_clients
from gotunnel.config.stamps import stamp
from gotunnel.errors import ConfigError, Sentence, printable
from gotunnel.logs import Logger

__all__ = ["INTERVAL", "ClientsFile"]

INTERVAL = 0.5
"""Seconds between looks. A client that is revoked is to be gone within a second."""


class ClientsFile:
    """`taken(clients)` is called with what the file holds, whenever that has changed. It may raise ConfigError for what
    does not fit the rest, and then nothing has changed either. `looked()` is called after every look, whatever it
    found. Changes are made in a thread of their own, one after the other: whatever else needs threads, a client that
    joins does not wait for it."""

    log = Logger()

    def __init__(
        self,
        path: Path,
        clock: Any,
        taken: Callable[[tuple[FileIdentity, ...]], None],
        looked: Callable[[], None],
        thread: ThreadPool | None = None,
    ) -> None:
        self.path = path
        self._clock = clock
        self._taken = taken
        self._looked = looked
        self._seen = stamp(path)
        self._problem = ""  # why what is there now is not taken: it is tried again at every look
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock
        self._thread = thread or ThreadPool(0, 1, "clients-file")
        self._changes = 0
        self._stopped: Deferred[None] | None = None

    @property
    def exists(self) -> bool:
        """Whether there was one at the last look."""
        return self._seen is not None

    def read(self) -> tuple[FileIdentity, ...]:
        """Return what the file holds now, and nothing if there is none. Raises ConfigError."""
        # Before reading: what changes meanwhile is then seen as a change.
        self._seen = stamp(self.path)
        return () if self._seen is None else load_clients(self.path)

    async def change(self, change: Change) -> None:
        """Change the file, in a thread since the disk or another program's lock may take its time, and let that take
        effect. Raises what `change` raises, ClientRefused after `stop`, or ConfigError."""
        if self._stopped is not None:
            raise ClientRefused("this server is stopping, or has another clients file now")
        self._changes += 1
        try:
            await deferToThreadPool(self._clock, self._thread, edit_clients, self.path, change)
        finally:
            self._changes -= 1
            self._end()
        self._look()  # at what is there by now, which another program may have changed again

    def start(self) -> None:
        """Look at it from now on, and begin with changes."""
        self._thread.start()
        self._looking.start(INTERVAL, now=False)

    def stop(self) -> Deferred[None]:
        """Look at it no more, nor when a change under way has been made, and make no other one. Fires when those that
        were asked for are made. Harmless when it was not started."""
        if self._looking.running:
            self._looking.stop()
        if self._stopped is None:
            self._stopped = Deferred()
            self._end()
        return self._stopped

    def _end(self) -> None:
        if self._stopped is not None and not self._stopped.called and not self._changes:
            self._thread.stop()
            self._stopped.callback(None)

    def _look(self) -> None:
        if self._stopped is not None:
            return
        try:
            found = stamp(self.path)
            if found != self._seen or self._problem:
                self._seen = found
                self._read_again()
            self._looked()
        except Exception:  # noqa: BLE001 - a bug of ours must not keep a client that is revoked tomorrow
            self.log.failure("looking at the clients file")

    def _read_again(self) -> None:
        try:
            # A file that is gone could be a slip as well as a wish: it shuts nobody out, and a restart tells.
            clients = load_clients(self.path)
            self._taken(clients)
        except ConfigError as error:
            first, more = error.problems[0], len(error.problems) - 1
            # Descriptors that ran out, say, must not keep a client that is revoked: the file need not change once more.
            before, self._problem = self._problem, str(error)
            if self._problem == before:
                return
            self.log.error(
                "the clients file has changed but cannot be used, so clients stay as they were: {problem}{more}",
                problem=printable(first, 600), more=Sentence(" (and {more} more)", more=more) if more else "",
            )  # fmt: skip
        else:
            self._problem = ""
            self.log.info("the clients file {path} has changed: {count} clients", path=printable(self.path, 400),
                          count=len(clients))  # fmt: skip

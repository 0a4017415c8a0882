"""Watches the clients file of a running server: checks it twice a second, and reads it again after a change.

The hub decides what follows from it. The file is only written when the server is asked to. A file that cannot be used
changes nothing.
"""

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
"""Seconds between checks. A revoked client must be disconnected within a second."""


class ClientsFile:
    """The clients file at `path`.

    `taken(clients)` is called with its content after each change. It may raise ConfigError if the content conflicts
    with the configuration; then nothing must have changed. `looked()` is called after each check, whatever the result.

    Changes are made one after the other in a dedicated thread, so that a joining client does not wait for other users
    of threads.
    """

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
        self._problem = ""  # why the current content cannot be used; it is retried at each check
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock
        self._thread = thread or ThreadPool(0, 1, "clients-file")
        self._changes = 0
        self._stopped: Deferred[None] | None = None

    @property
    def exists(self) -> bool:
        """Whether the file existed at the last check."""
        return self._seen is not None

    def read(self) -> tuple[FileIdentity, ...]:
        """Return the current content, empty if there is no file. Raises ConfigError."""
        # Stamp before reading, so that a change meanwhile is noticed.
        self._seen = stamp(self.path)
        return () if self._seen is None else load_clients(self.path)

    async def change(self, change: Change) -> None:
        """Change the file and apply the result.

        This runs in a thread, because the disk or another program's lock may be slow. Raises what `change` raises,
        ClientRefused after `stop`, or ConfigError.
        """
        if self._stopped is not None:
            raise ClientRefused("this server is stopping, or has another clients file now")
        self._changes += 1
        try:
            await deferToThreadPool(self._clock, self._thread, edit_clients, self.path, change)
        finally:
            self._changes -= 1
            self._end()
        self._look()  # read what is there now, because another program may have changed it again

    def start(self) -> None:
        """Start checking the file and accepting changes."""
        self._thread.start()
        self._looking.start(INTERVAL, now=False)

    def stop(self) -> Deferred[None]:
        """Stop checking the file and refuse new changes; a pending change is not applied to the server any more.

        The Deferred fires when pending changes are written. Harmless if it was not started.
        """
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
        except Exception:  # noqa: BLE001 - after a bug of ours the checks must go on, or revocation would stop working
            self.log.failure("looking at the clients file failed")

    def _read_again(self) -> None:
        try:
            # A missing file may be a mistake: it locks nobody out now, and a restart will report it.
            clients = load_clients(self.path)
            self._taken(clients)
        except ConfigError as error:
            first, more = error.problems[0], len(error.problems) - 1
            # Keep the problem to retry: it may be temporary, such as a lack of descriptors, and the file need not
            # change again.
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

"""Listens on a unix socket, for either relay. A stale socket file is replaced, one in use is not, a file that somebody
removes is created again, and the file is removed with the listener. Accepted connections are passed on as sockets."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from gotunnel.address import UnixPath
from gotunnel.errors import PortUnavailable, Sentence, printable, system_words
from gotunnel.logs import Logger
from gotunnel.net.descriptors import OUT_OF_DESCRIPTORS, Gate

__all__ = ["UnixListener", "reachable"]

LONGEST_PATH = 103
"""Maximum bytes of a socket's path on the system with the lowest limit (sockaddr_un)."""
ACCEPTS_AT_ONCE = 64
"""Connections accepted per event."""
LOOK = 5.0
"""Seconds between two checks that the file still exists: without it nobody can connect, and the kernel does not report
that."""


class UnixListener(FileDescriptor):
    """Listens on `path`, a file with `mode`, as soon as it is created. `on_socket` gets each connection, non-blocking;
    if it raises, the connection is closed. The `gate` pauses it while descriptors run short.

    Raises PortUnavailable (port_in_use, acl_denied, bad_request, no_fds), and then leaves nothing behind.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        path: str,
        mode: int,
        on_socket: Callable[[socket.socket], None],
        gate: Gate,
        backlog: int = 1024,
    ) -> None:
        super().__init__(reactor)
        self._gate = gate
        self._path = path
        self._mode = mode
        self._backlog = backlog
        self._on_socket = on_socket
        self._failure = ""
        self._sock: socket.socket | None = _bound(path, mode, backlog)
        self._file = _identity(path)
        self._clock = reactor
        self._look: IDelayedCall = reactor.callLater(LOOK, self._look_after_file)
        self.startReading()
        gate.add(self)

    def fileno(self) -> int:
        """Return the descriptor for the reactor; -1 when closed."""
        return -1 if self._sock is None else self._sock.fileno()

    def doRead(self) -> None:
        """Accept waiting connections."""
        for _ in range(ACCEPTS_AT_ONCE):
            if self._sock is None or self._gate.short:
                return
            try:
                sock, _address = self._sock.accept()
            except BlockingIOError:
                return
            except OSError as failed:
                if failed.errno in OUT_OF_DESCRIPTORS:
                    self._gate.stop()
                    return
                continue  # it disconnected while it waited in the queue
            sock.setblocking(False)
            fd = sock.fileno()
            try:
                self._on_socket(sock)
            except Exception:  # noqa: BLE001 - a bug must not close the listener
                self.log.failure("accepting a connection failed: a bug", Failure())
                sock.close()
            self._gate.accepted(fd)

    def pause(self) -> None:
        """Stop accepting; called by the gate."""
        self.stopReading()

    def go_on(self) -> None:
        """Accept again; called by the gate."""
        if self._sock is not None:
            self.startReading()

    def stopListening(self) -> Deferred[None]:
        """Stop listening, and remove the file unless another one has taken its place."""
        sock, self._sock = self._sock, None
        if sock is not None:
            self._look.cancel()
            self._gate.remove(self)
            self.reactor.removeReader(self)
            sock.close()
            try:
                if _identity(self._path) == self._file:
                    os.unlink(self._path)
            except OSError as failed:
                self.log.warn(
                    "the socket {path} is left behind: {reason}; remove it, or the next start does",
                    path=printable(self._path, 120), reason=system_words(failed),
                )  # fmt: skip
        return succeed(None)

    def connectionLost(self, reason: Any) -> None:
        """Close when the reactor stops."""
        self.stopListening()

    def logPrefix(self) -> str:
        """Return the name for Twisted's log."""
        return f"unix:{self._path}"

    def _look_after_file(self) -> None:
        """Create the socket again if its file is missing, or if another file without a listener has replaced it."""
        self._look = self._clock.callLater(LOOK, self._look_after_file)
        if _identity(self._path) == self._file or self._gate.short:
            return
        path = printable(self._path, 120)
        try:
            fresh = _bound(self._path, self._mode, self._backlog)
        except PortUnavailable as failed:
            if failed.reason != self._failure:
                self._failure = failed.reason
                self.log.error(
                    "the socket {path} was taken away and cannot be made again: {reason}; free it: it is tried "
                    "again every {seconds:g} s",
                    path=path, reason=failed.reason, seconds=LOOK,
                )  # fmt: skip
            return
        self._failure = ""
        self.log.warn("the socket {path} was removed or replaced: it is made again", path=path)
        self.doRead()  # accept those that connected to the old socket before
        self.reactor.removeReader(self)
        old, self._sock = self._sock, fresh
        if old is not None:
            old.close()
        self._file = _identity(self._path)
        if not self._gate.short:  # `doRead` may have changed that
            self.startReading()


@contextmanager
def reachable(path: str) -> Iterator[str]:
    """Yield a name for a socket's path that the kernel accepts. A path that is too long is reached through its folder's
    descriptor (Linux); other systems get it unchanged. Raises OSError."""
    folder, name = os.path.split(path)
    if len(os.fsencode(path)) <= LONGEST_PATH or not os.path.isdir("/proc/self/fd"):
        yield path
        return
    holder = os.open(folder or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{holder}/{name}"
    finally:
        os.close(holder)


def _bound(path: str, mode: int, backlog: int) -> socket.socket:
    sock = None
    try:
        _free(path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.setblocking(False)
        before = os.umask(0o777 & ~mode)  # otherwise others could open the file until its mode is set
        try:
            with reachable(path) as short:
                sock.bind(short)
        finally:
            os.umask(before)
        sock.listen(backlog)
    except OSError as failed:
        if sock is not None:
            sock.close()
        raise _unavailable(path, failed) from None
    return sock


def _free(path: str) -> None:
    """Remove a socket file left by a dead process. Raises OSError if somebody listens, or if it is no socket."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OSError(errno.EEXIST, "a file that is not a socket is there")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0)  # a unix socket connects at once, or its queue is full because somebody listens
        with reachable(path) as short:
            refused = probe.connect_ex(short) == errno.ECONNREFUSED
        if refused:
            os.unlink(path)
            return
    raise OSError(errno.EADDRINUSE, "another program listens there")


def _unavailable(path: str, failed: OSError) -> PortUnavailable:
    code = {
        errno.EADDRINUSE: "port_in_use", errno.EEXIST: "port_in_use", errno.EACCES: "acl_denied",
        errno.EPERM: "acl_denied", errno.EMFILE: "no_fds", errno.ENFILE: "no_fds",
    }.get(failed.errno or 0, "bad_request")  # fmt: skip
    words = {errno.ENOENT: "its folder does not exist", errno.EACCES: "permission denied"}.get(failed.errno or 0)
    return PortUnavailable(code, Sentence(
        "{path}: {words}", path=UnixPath(path), words=words or system_words(failed)
    ))


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino

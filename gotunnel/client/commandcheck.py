"""A probe of a target that runs a command. `health` decides when to probe, and for how long."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.process import registerReapProcessHandler, unregisterReapProcessHandler
from twisted.python.failure import Failure
from zope.interface import implementer

from gotunnel.address import Address, HostPort
from gotunnel.client.checks import Unhealthy
from gotunnel.config.health_command import CommandOptions
from gotunnel.errors import Sentence, printable
from gotunnel.interfaces import IHealthCheck

__all__ = ["CommandCheck"]

MOST_SAID = 2048
"""Bytes of a command's standard error that are kept: the last ones, since the last line is reported."""
CHUNK = 65_536


@implementer(IHealthCheck)
class CommandCheck:
    """The target is up if the command ends with exit code 0."""

    def __init__(self, reactor: Any, target: Address, options: CommandOptions, timeout: float) -> None:
        self._reactor = reactor
        self._command = options.command
        self._target = target

    def probe(self) -> Deferred[None]:
        """See IHealthCheck."""
        return _Run(self._reactor, self._command, self._environment()).ended

    def _environment(self) -> dict[str, str]:
        # GOTUNNEL_TOKEN may hold the token; systemd's variables are for this process only.
        private = ("GOTUNNEL_", "LISTEN_", "NOTIFY_")
        found = {name: value for name, value in os.environ.items() if not name.startswith(private)}
        found["GOTUNNEL_TARGET"] = str(self._target)
        if isinstance(self._target, HostPort):
            found["GOTUNNEL_TARGET_HOST"] = self._target.host
            found["GOTUNNEL_TARGET_PORT"] = str(self._target.port)
        return found


class _Run:
    """One run: the process, which leads a process group of its own, and its output. Cancelling `ended` kills the group.

    The reactor's spawnProcess is not used, since it makes no group: killing a shell would leave its children behind.
    Twisted still reaps the process.
    """

    def __init__(self, reactor: Any, command: tuple[str, ...], environment: dict[str, str]) -> None:
        self.ended: Deferred[None] = Deferred(self._given_up)
        self._over = False
        try:
            reading, writing = os.pipe()
        except OSError as failed:
            self._cannot_run(command, failed)
            return
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the operator's own command, and no shell
                command,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=writing,
                env=environment, start_new_session=True,
            )  # fmt: skip
        except OSError as failed:
            os.close(reading)
            self._cannot_run(command, failed)
            return
        finally:
            os.close(writing)
        self._said = _Said(reactor, reading)
        self.pid = self._process.pid
        registerReapProcessHandler(self.pid, self)

    def _cannot_run(self, command: tuple[str, ...], failed: OSError) -> None:
        self._over = True
        why = (failed.strerror or "it failed").lower()
        self.ended.errback(Unhealthy(Sentence(
            "{command} cannot be run: {why}", command=printable(command[0]), why=why
        )))

    def reapProcess(self) -> None:
        """Called by Twisted when any child of this process has ended."""
        code = self._process.poll()
        if code is not None:
            unregisterReapProcessHandler(self.pid, self)
            self._ended(code)

    def processEnded(self, status: int) -> None:
        """Called by Twisted when it has reaped the process, which had ended by then."""
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self._ended(self._process.returncode)

    def _ended(self, code: int) -> None:
        self._kill()  # child processes that it has left behind
        said = self._said.close()
        if self._over:
            return
        self._over = True
        if code == 0:
            self.ended.callback(None)
        else:
            how = Sentence("ends with exit code {code}", code=code) if code > 0 else Sentence(
                "was ended by signal {code}", code=-code
            )
            what = Sentence("its command {how}", how=how)
            self.ended.errback(Failure(Unhealthy(Sentence.joined(": ", (what, printable(said))))))

    def _given_up(self, _: object) -> None:
        self._over = True
        self._kill()

    def _kill(self) -> None:
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass  # nothing is left, or it now runs as another user


@implementer(IReadDescriptor)
class _Said:
    """Reads what a command writes to standard error, so that the command never blocks, and keeps the end of it."""

    def __init__(self, reactor: Any, fd: int) -> None:
        self._reactor = reactor
        self._fd = fd
        self._kept = b""
        os.set_blocking(fd, False)
        reactor.addReader(self)

    def fileno(self) -> int:
        """Return the descriptor for the reactor."""
        return self._fd

    def logPrefix(self) -> str:
        """Return the name for the reactor's log."""
        return "health"

    def doRead(self) -> None:
        """Read; called by the reactor."""
        if not self._read():
            self._reactor.removeReader(self)

    def connectionLost(self, reason: Failure) -> None:
        """Close; called by the reactor when it stops."""
        self.close()

    def close(self) -> str:
        """Stop reading. Returns the last line."""
        if self._fd >= 0:
            self._read()
            self._reactor.removeReader(self)
            # Close it in the next turn: the reactor may still have an event of the pipe's end to deliver in this one,
            # and would deliver it to another descriptor with the same number.
            self._reactor.callLater(0, os.close, self._fd)
            self._fd = -1
        lines = self._kept.decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def _read(self) -> bool:
        try:
            found = os.read(self._fd, CHUNK)
        except BlockingIOError:
            return True
        self._kept = (self._kept + found)[-MOST_SAID:]
        return bool(found)

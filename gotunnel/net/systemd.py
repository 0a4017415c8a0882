"""What systemd and a process of its tell each other: messages to NOTIFY_SOCKET, and listening sockets that are handed
over (sd_notify(3) and sd_listen_fds(3)). Decides nothing about when to say what."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from gotunnel.errors import GotunnelError, Sentence, printable

__all__ = ["CONTROL", "ActivationError", "NotifySocket", "handed_over", "watchdog_interval"]

CONTROL = "control"
"""The name of the server's control port among several sockets: FileDescriptorName= of systemd.socket(5)."""

FIRST = 3
"""SD_LISTEN_FDS_START of sd_listen_fds(3)."""


class ActivationError(GotunnelError):
    """The sockets that were handed over are not what a server can use. The text says what the unit should have."""


class NotifySocket:
    """Where systemd hears from this process: a unix datagram socket that belongs to it."""

    def __init__(self, address: str) -> None:
        # "@" stands for the NUL in front of an abstract name.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)

    @classmethod
    def named(cls, env: Mapping[str, str] = os.environ) -> NotifySocket | None:
        """Return the socket that NOTIFY_SOCKET names; None where nobody listens to us, or not on a unix socket."""
        address = env.get("NOTIFY_SOCKET", "")
        return cls(address) if address[:1] in ("/", "@") and len(address) > 1 else None

    def send(self, *lines: str) -> None:
        """Send one message, `NAME=value` a line. Raises BlockingIOError if systemd's queue is full, or OSError."""
        self._socket.sendto("\n".join(lines).encode(), self._address)


def watchdog_interval(env: Mapping[str, str] = os.environ) -> float | None:
    """Return the seconds between signs of life: half of what systemd waits for (sd_watchdog_enabled(3)). None if this
    process is not watched."""
    if env.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    text = env.get("WATCHDOG_USEC", "")
    return int(text) / 2e6 if text.isascii() and text.isdigit() and int(text) else None


def handed_over(env: Mapping[str, str] = os.environ, first: int = FIRST) -> socket.socket | None:
    """Return the control port's socket that this process was started with; None if it was started with none.

    If there are several, it is the one that is named `control`. The others are closed here; whoever made them keeps
    them. Raises ActivationError.
    """
    count = env.get("LISTEN_FDS", "")
    if env.get("LISTEN_PID") != str(os.getpid()) or not (count.isascii() and count.isdigit()) or int(count) == 0:
        return None
    numbers = range(first, first + int(count))
    names = env.get("LISTEN_FDNAMES", "").split(":")
    chosen = [number for number, name in zip(numbers, names, strict=False) if name == CONTROL]
    if not chosen and len(numbers) == 1:
        chosen = [first]
    for number in numbers:
        if number not in chosen:
            os.close(number)
    if len(chosen) != 1:
        raise ActivationError(
            Sentence(
                "systemd hands over {numbers} sockets, and {chosen} of them named {control}: the control "
                "port's one needs FileDescriptorName={control}",
                numbers=len(numbers), chosen=len(chosen) or 'none', control=CONTROL,
            )
        )
    try:
        return _listening(chosen[0])
    except OSError as error:
        raise ActivationError(
            Sentence(
                "what systemd hands over is not usable: {strerror}; remove the .socket unit, or repair it",
                strerror=printable(error.strerror),
            )
        ) from None


def _listening(number: int) -> socket.socket:
    taken = socket.socket(fileno=number)
    wrong = ""
    if taken.family not in (socket.AF_INET, socket.AF_INET6) or taken.type != socket.SOCK_STREAM:
        wrong = "is no TCP socket: its unit needs ListenStream=ADDRESS:PORT"
    elif not taken.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        wrong = "does not listen: its unit needs ListenStream=ADDRESS:PORT and Accept=no"
    if wrong:
        taken.close()
        raise ActivationError(Sentence("the socket that systemd hands over {wrong}", wrong=wrong))
    taken.set_inheritable(False)
    taken.setblocking(False)
    return taken

"""Talks to systemd: sends messages to NOTIFY_SOCKET, and takes over listening sockets (sd_notify(3) and
sd_listen_fds(3)). It does not decide when to send what."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest

from gotunnel.address import HostPort
from gotunnel.errors import GotunnelError, Sentence, printable

__all__ = ["CONTROL", "ActivationError", "Handed", "NotifySocket", "handed_over", "watchdog_interval"]

CONTROL = "control"
"""The name of the server's control port among several sockets: FileDescriptorName= of systemd.socket(5)."""

FIRST = 3
"""SD_LISTEN_FDS_START of sd_listen_fds(3)."""


class ActivationError(GotunnelError):
    """The sockets handed over are not usable for a server. The text says what the unit needs."""


class NotifySocket:
    """The unix datagram socket through which this process notifies systemd."""

    def __init__(self, address: str) -> None:
        # "@" stands for the NUL byte that begins an abstract name.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)

    @classmethod
    def named(cls, env: Mapping[str, str] = os.environ) -> NotifySocket | None:
        """Return the socket that NOTIFY_SOCKET names; None if it is unset or names no unix socket."""
        address = env.get("NOTIFY_SOCKET", "")
        return cls(address) if address[:1] in ("/", "@") and len(address) > 1 else None

    def send(self, *lines: str) -> None:
        """Send one message, one `NAME=value` per line. Raises BlockingIOError if systemd's queue is full, or
        OSError."""
        self._socket.sendto("\n".join(lines).encode(), self._address)


def watchdog_interval(env: Mapping[str, str] = os.environ) -> float | None:
    """Return the seconds between signs of life: half of systemd's timeout (sd_watchdog_enabled(3)). None if this
    process is not watched."""
    if env.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    text = env.get("WATCHDOG_USEC", "")
    return int(text) / 2e6 if text.isascii() and text.isdigit() and int(text) else None


@dataclass(frozen=True, slots=True)
class Handed:
    """A listening socket that this process was started with, and its FileDescriptorName=."""

    name: str
    socket: socket.socket

    @property
    def address(self) -> HostPort:
        """The address it listens on."""
        host, port = self.socket.getsockname()[:2]
        return HostPort(host, port)


def handed_over(env: Mapping[str, str] = os.environ, first: int = FIRST) -> tuple[Handed, ...]:
    """Return the sockets that this process was started with. Raises ActivationError if one is not a listening TCP
    socket; all are then closed in this process, and systemd keeps them."""
    count = env.get("LISTEN_FDS", "")
    if env.get("LISTEN_PID") != str(os.getpid()) or not (count.isascii() and count.isdigit()) or int(count) == 0:
        return ()
    numbers = range(first, first + int(count))
    names = env.get("LISTEN_FDNAMES", "").split(":")
    taken: list[Handed] = []
    try:
        for number, name in zip_longest(numbers, names[: len(numbers)], fillvalue=""):
            taken.append(Handed(str(name), _listening(int(number))))
    except OSError as error:
        problem: GotunnelError = ActivationError(
            Sentence(
                "what systemd hands over is not usable: {strerror}; remove the .socket unit, or repair it",
                strerror=printable(error.strerror),
            )
        )
    except ActivationError as error:
        problem = error
    else:
        return tuple(taken)
    for each in taken:
        each.socket.close()
    for number in numbers[len(taken) :]:
        with suppress(OSError):
            os.close(number)
    raise problem


def _listening(number: int) -> socket.socket:
    taken = socket.socket(fileno=number)
    wrong = ""
    if taken.family not in (socket.AF_INET, socket.AF_INET6) or taken.type != socket.SOCK_STREAM:
        wrong = "is not a TCP socket: its unit needs ListenStream=ADDRESS:PORT"
    elif not taken.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        wrong = "does not listen: its unit needs ListenStream=ADDRESS:PORT and Accept=no"
    if wrong:
        taken.close()
        raise ActivationError(Sentence("the socket that systemd hands over {wrong}", wrong=wrong))
    taken.set_inheritable(False)
    taken.setblocking(False)
    return taken

"""The stream of the log, whose reader cannot stop the process."""

from __future__ import annotations

import fcntl
import os
import select
import socket
from collections.abc import Callable
from io import StringIO
from typing import TextIO

from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.cli import steadystream
from gotunnel.cli.steadystream import PIECE, RETRY, SteadyStream

Later = Callable[[float, Callable[[], None]], None]


class SteadyTests(SynchronousTestCase):
    """A pipe, a socket, a file."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.events: list[LogEvent] = []
        self.patch(steadystream.time, "monotonic", lambda: 100.0 + self.clock.seconds())

    def pipe(self, most: int = 1 << 20) -> tuple[SteadyStream, int]:
        """Return a stream into a pipe of two pages, and its other end. It takes 41 lines of 100 bytes: with one in its
        last page it says that it is full."""
        reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 2 * select.PIPE_BUF)
        os.set_blocking(reader, False)
        self.addCleanup(os.close, reader)
        return self.steady(os.fdopen(writer, "w", encoding="utf-8", errors="backslashreplace"), most), reader

    def steady(self, stream: TextIO, most: int = 1 << 20) -> SteadyStream:
        """Return one on a stream, which is closed at the end."""
        self.addCleanup(stream.close)

        def later(seconds: float, function: Callable[[], None]) -> None:
            self.clock.callLater(seconds, function)

        made = SteadyStream(stream, most, later)
        self.addCleanup(steadystream.atexit.unregister, made._end)
        return made

    def fill(self, stream: SteadyStream, lines: int) -> list[str]:
        """Write so many lines of 100 bytes; it returns, whoever reads them."""
        written = [f"{number:099}\n" for number in range(lines)]
        for line in written:
            stream.write(line)
            stream.flush()
        return written

    def read(self, reader: int) -> str:
        """Return what is there."""
        found = b""
        while select.select([reader], [], [], 0)[0]:
            found += os.read(reader, 65536)
        return found.decode()

    def read_on(self, reader: int) -> str:
        """Return all that comes while time passes."""
        found = self.read(reader)
        while self.clock.getDelayedCalls():
            self.clock.advance(RETRY)
            found += self.read(reader)
        return found

    def test_at_once(self) -> None:
        """While somebody reads each line is there when it was written, whatever it has in it."""
        stream, reader = self.pipe()
        for line in ("one\n", "zwei \u00e4\n", "\udc80\n"):
            stream.write(line)
            self.assertEqual(self.read(reader), line.replace("\udc80", "\\udc80"))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_reader_stands_still(self) -> None:
        """What a full pipe does not take comes when it is read on, in order and whole, though no further line is
        written."""
        stream, reader = self.pipe()
        written = self.fill(stream, 500)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.assertEqual(self.read_on(reader), "".join(written))

    def test_next_line(self) -> None:
        """The next line brings those along that are held, ahead of itself."""
        stream, reader = self.pipe()
        written = self.fill(stream, 60)
        found = self.read(reader)
        stream.write("last\n")
        self.assertEqual(found + self.read(reader), "".join([*written, "last\n"]))

    def test_long_line(self) -> None:
        """A line longer than what a pipe takes at once arrives whole, also when the pipe is full in its midst."""
        stream, reader = self.pipe()
        line = "x" * (10 * PIECE) + "\n"
        stream.write(line)
        stream.write("y\n")
        self.assertEqual(self.read_on(reader), line + "y\n")

    def test_too_much(self) -> None:
        """Beyond the most that is held lines are left out; behind those that were held, the log says how many and for
        how long, and goes on."""
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)
        stream, reader = self.pipe(most=1000)
        written = self.fill(stream, 100)
        self.clock.advance(30)
        self.assertEqual(self.events, [])
        stream.write("left out as well\n")
        found = self.read_on(reader)
        self.assertEqual(found, "".join(written[: len(found) // 100]))
        self.assertEqual(len(found), 4100 + 1000)
        said = [(event["count"], event["seconds"]) for event in self.events if "missing here" in event["log_format"]]
        self.assertEqual(said, [(50, 30.0 + RETRY)])
        stream.write("on\n")
        self.assertEqual(self.read(reader), "on\n")

    def test_told_once(self) -> None:
        """What was left out is told once, and the next time anew."""
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)
        stream, reader = self.pipe(most=1000)
        for _ in range(2):
            self.fill(stream, 60)
            self.read_on(reader)
        self.assertEqual([event["count"] for event in self.events if "missing here" in event["log_format"]], [9, 9])

    def test_socket(self) -> None:
        """The journal's end is a socket: nobody waits for it either."""
        ours, theirs = socket.socketpair()
        self.addCleanup(theirs.close)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        stream = self.steady(os.fdopen(ours.detach(), "w"))
        written = self.fill(stream, 2000)
        self.assertEqual(self.read_on(theirs.fileno()), "".join(written))

    def test_taken_by_another(self) -> None:
        """A descriptor that does not wait, and that takes nothing though it said so, is tried again."""
        stream, reader = self.pipe()
        answers = [BlockingIOError(), None]
        write = os.write

        def written(fd: int, data: bytes) -> int:
            answer = answers.pop(0)
            if answer is not None:
                raise answer
            return write(fd, data)

        self.patch(steadystream.os, "write", written)
        stream.write("one\n")
        self.assertEqual(self.read(reader), "")
        self.assertEqual(self.read_on(reader), "one\n")

    def test_reader_gone(self) -> None:
        """Where nobody can ever read it, writing raises, as it does without this; the end of the process does not."""
        reader, writer = os.pipe()
        stream = self.steady(os.fdopen(writer, "w"))
        os.close(reader)
        for _ in range(2):
            self.assertRaises(BrokenPipeError, stream.write, "one\n")
        stream._end()

    def test_end(self) -> None:
        """At the end of the process what is held is written, if somebody reads; nobody is waited for longer than
        that."""
        stream, reader = self.pipe()
        written = self.fill(stream, 45)
        found = self.read(reader)
        stream._end()
        self.assertEqual(found + self.read(reader), "".join(written))
        self.fill(stream, 45)
        self.clock.advance(0)
        self.patch(steadystream, "LAST_WORDS", 0.01)
        stream._end()

    def test_others(self) -> None:
        """A file, and what is no descriptor, are written to as they are."""
        text = StringIO()
        made = SteadyStream(text)
        made.write("one\n")
        self.assertEqual(text.getvalue(), "one\n")
        path = self.mktemp()
        with open(path, "w") as file:
            stream = SteadyStream(file)
            stream.write("one\n")
            stream.flush()
            with open(path) as again:
                self.assertEqual(again.read(), "one\n")

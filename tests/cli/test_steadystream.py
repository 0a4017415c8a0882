"""The stream of the log, whose reader cannot stop the process."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import socket
import termios
from io import StringIO

from twisted.logger import LogEvent, globalLogPublisher

from gotunnel.cli import logdestination, steadystream
from gotunnel.cli.steadystream import PIECE, RETRY, SteadyStream
from tests.cli.steady import SteadyTestCase


class SteadyTests(SteadyTestCase):
    """A pipe, a socket, a file."""

    def setUp(self) -> None:
        super().setUp()
        self.events: list[LogEvent] = []
        self.patch(steadystream.time, "monotonic", lambda: 100.0 + self.clock.seconds())

    def pipe(self, most: int = 1 << 20) -> tuple[SteadyStream, int]:
        """Return a stream into a pipe of two pages, and its other end. It takes 80 lines of 100 bytes, 40 in each."""
        reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 2 * select.PIPE_BUF)
        os.set_blocking(reader, False)
        self.addCleanup(os.close, reader)
        return self.steady(os.fdopen(writer, "w", encoding="utf-8", errors="backslashreplace"), most), reader

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
        written = self.fill(stream, 100)
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
        written = self.fill(stream, 139)
        self.clock.advance(30)
        self.assertEqual(self.events, [])
        stream.write("left out as well\n")
        found = self.read_on(reader)
        self.assertEqual(found, "".join(written[: len(found) // 100]))
        self.assertEqual(len(found), 8000 + 1000)
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
            self.fill(stream, 99)
            self.read_on(reader)
        self.assertEqual([event["count"] for event in self.events if "missing here" in event["log_format"]], [9, 9])

    def test_socket(self) -> None:
        """The journal's end is a socket: nobody waits for it either."""
        self.in_time()
        ours, theirs = socket.socketpair()
        self.addCleanup(theirs.close)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        stream = self.steady(os.fdopen(ours.detach(), "w"))
        written = self.fill(stream, 2000)
        self.assertEqual(self.read_on(theirs.fileno()), "".join(written))

    def in_time(self) -> None:
        """Whoever waits for a reader is interrupted."""

        def late(number: int, frame: object) -> None:
            raise AssertionError("it waits")

        self.addCleanup(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, late))
        self.addCleanup(signal.alarm, 0)
        signal.alarm(10)

    def test_terminal(self) -> None:
        """A terminal that takes a few bytes more, but not a line, does not stop it either, nor one that was stopped."""
        self.in_time()
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        stream = self.steady(os.fdopen(theirs, "w"))
        written = self.fill(stream, 3000)
        self.assertEqual(self.read_on(ours).replace("\r\n", "\n"), "".join(written))
        termios.tcflow(theirs, termios.TCOOFF)
        stream.write("while stopped\n")
        termios.tcflow(theirs, termios.TCOON)
        self.assertEqual(self.read_on(ours), "while stopped\r\n")

    def test_others_may_wait(self) -> None:
        """Where another process writes into the same pipe it waits as before, and nobody waits for what that one was
        quicker with."""
        self.in_time()
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        stream = self.steady(os.fdopen(writer, "w"))
        self.assertTrue(os.get_blocking(writer))
        full = select.poll()
        full.register(writer, select.POLLOUT)
        while full.poll(0):
            os.write(writer, bytes(4096))
        stream.write("one\n")
        self.assertEqual(self.read_on(reader).lstrip("\0"), "one\n")

    def test_one_long_line(self) -> None:
        """A line longer than all that may be held is written like any other, and those behind it are."""
        stream, reader = self.pipe(most=1000)
        stream.write("x" * 1001 + "\n")
        stream.write("y\n")
        self.assertEqual(self.read(reader), "x" * 1001 + "\ny\n")

    def test_line_amid_a_line(self) -> None:
        """An error that is found amid a write has its line behind that one; none is written twice."""
        stream, reader = self.pipe()
        write, amid = os.write, ["found\n"]

        def written(fd: int, data: bytes) -> int:
            if amid:
                stream.write(amid.pop())
            return write(fd, data)

        self.patch(logdestination.os, "write", written)
        for line in ("one\n", "two\n"):
            stream.write(line)
        self.assertEqual(self.read(reader), "one\nfound\ntwo\n")

    def test_broken_off(self) -> None:
        """A line that breaks off amid its bytes is told by an exception, and the next one does not stand behind it."""
        stream, reader = self.pipe()
        write = os.write
        answers: list[OSError | None] = [None, OSError(28, "full"), None, None]

        def written(fd: int, data: bytes) -> int:
            answer = answers.pop(0)
            if answer is not None:
                raise answer
            return write(fd, data)

        self.patch(logdestination.os, "write", written)
        self.assertRaises(OSError, stream.write, "x" * PIECE + "cut\n")
        stream.write("on\n")
        self.assertEqual(self.read(reader), "x" * PIECE + "\non\n")

    def test_broken_while_held(self) -> None:
        """Held lines that can never be written are counted, and a timer of the reactor's has no exception of theirs;
        nothing of them is kept."""
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)
        stream, _ = self.pipe()
        self.fill(stream, 90)
        broken = OSError(32, "broken")

        def written(fd: int, data: bytes) -> int:
            raise broken

        self.patch(logdestination.os, "write", written)
        self.clock.advance(RETRY)
        self.assertEqual([event["count"] for event in self.events], [10])
        self.assertEqual((self.clock.getDelayedCalls(), stream._size), ([], 0))

    def test_before_the_reactor(self) -> None:
        """Lines that are held before there is a reactor are tried again once there is one."""
        stream, reader = self.pipe()
        with_reactor, stream._later = stream._later, lambda *_: False
        written = self.fill(stream, 90)
        stream._later = with_reactor
        stream.write("more\n")
        self.assertEqual(self.read_on(reader), "".join([*written, "more\n"]))

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
        written = self.fill(stream, 85)
        found = self.read(reader)
        stream._end()
        self.assertEqual(found + self.read(reader), "".join(written))
        self.fill(stream, 85)
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

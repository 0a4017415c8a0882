"""The stream of the log where its descriptor cannot be opened once more, so that a thread waits in its stead."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import threading
from typing import TextIO

from gotunnel.cli import logdestination, logwriter
from gotunnel.cli.logwriter import MOST_TAKEN, LogWriter
from gotunnel.cli.steadystream import RETRY, SteadyStream
from tests.cli.steady import SteadyTestCase
from tests.processes import DEADLINE, ProcessTestCase

_OPEN = os.open


def refused(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
    """In the place of os.open: this user may not open what he was handed."""
    if path.startswith("/proc/self/fd/"):
        raise PermissionError(13, "refused", path)
    return _OPEN(path, flags, mode, dir_fd=dir_fd)


class WriterTests(SteadyTestCase):
    """Pipes and terminals. Whoever waits is interrupted."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(logdestination.os, "open", refused)

        def late(number: int, frame: object) -> None:
            raise AssertionError("it waits")

        self.addCleanup(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, late))
        self.addCleanup(signal.alarm, 0)
        signal.alarm(int(DEADLINE))

    def steady(self, stream: TextIO, most: int = 1 << 20) -> SteadyStream:
        """See SteadyTestCase; there is a thread."""
        made = super().steady(stream, most)
        assert made._destination is not None
        return made

    def pipe(self, most: int = 1 << 20) -> tuple[SteadyStream, int]:
        """Return a stream into a pipe of two pages, and its other end."""
        reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 2 * select.PIPE_BUF)
        self.addCleanup(os.close, reader)
        return self.steady(os.fdopen(writer, "w"), most), reader

    def terminal(self) -> tuple[SteadyStream, int, int]:
        """Return a stream to a terminal, the other end of that, and the terminal."""
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        return self.steady(os.fdopen(theirs, "w")), ours, theirs

    def fill(self, stream: SteadyStream, lines: int) -> str:
        """Write so many lines of 100 bytes; it returns, whoever reads them."""
        written = [f"{number:099}\n" for number in range(lines)]
        for line in written:
            stream.write(line)
            stream.flush()
        return "".join(written)

    def read(self, reader: int, length: int) -> str:
        """Return so much of what comes while time passes, and what comes along with it."""
        found = b""
        while len(found) < length:
            found += os.read(reader, 65536)
            self.clock.advance(RETRY)
        return found.decode()

    def waiting(self, reader: int) -> int:
        """Return how many bytes are there to be read."""
        return int.from_bytes(fcntl.ioctl(reader, termios.FIONREAD, bytes(4)), sys.byteorder)

    def test_at_once(self) -> None:
        """While somebody reads each line is there, without another one and without a timer."""
        stream, reader = self.pipe()
        self.assertIsInstance(stream._destination, LogWriter)
        for line in ("one\n", "two\n"):
            stream.write(line)
            self.assertEqual(os.read(reader, 100).decode(), line)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_pipe(self) -> None:
        """What a full pipe does not take comes when it is read on, in order and whole."""
        stream, reader = self.pipe()
        written = self.fill(stream, 3000)
        self.assertEqual(self.read(reader, len(written)), written)

    def test_terminal(self) -> None:
        """A terminal that takes a few bytes more, but not a line."""
        stream, ours, _ = self.terminal()
        written = self.fill(stream, 3000).replace("\n", "\r\n")
        self.assertEqual(self.read(ours, len(written)), written)

    def test_stopped_terminal(self) -> None:
        """A terminal that was stopped, as by Ctrl-S, amid what it is told."""
        stream, ours, theirs = self.terminal()
        written = self.fill(stream, 20)
        termios.tcflow(theirs, termios.TCOOFF)
        written = (written + self.fill(stream, 3000)).replace("\n", "\r\n")
        termios.tcflow(theirs, termios.TCOON)
        self.assertEqual(self.read(ours, len(written)), written)

    def test_too_much(self) -> None:
        """No more is held than what the thread and the stream have room for; the rest is left out."""
        stream, reader = self.pipe(most=1000)
        written = self.fill(stream, 100)
        while self.waiting(reader) < 8000:
            pass  # the thread fills the pipe, 40 lines a page
        written += self.fill(stream, 2900)
        held = 100 * (3000 - stream._left_out)
        self.assertLessEqual(stream._size, 1000)
        self.assertGreaterEqual(held, MOST_TAKEN)
        self.assertLessEqual(held, 8000 + 100 + MOST_TAKEN + 1000)
        self.assertEqual(self.read(reader, held), written[:held])

    def test_whole_lines(self) -> None:
        """Each line is written at once, so that none of another process gets into it."""
        stream, reader = self.pipe()
        assert isinstance(stream._destination, LogWriter)
        write, pieces, ours = os.write, [], stream._destination._fd

        def written(fd: int, data: bytes) -> int:
            if fd == ours:  # the thread of another test may still have something to write
                pieces.append(len(data))
            return write(fd, data)

        self.patch(logwriter.os, "write", written)
        self.read(reader, len(self.fill(stream, 300)))
        self.assertEqual(pieces, [100] * 300)

    def test_made_not_to_wait(self) -> None:
        """Another process may make the descriptor one that does not wait: no byte gets lost."""
        stream, reader = self.pipe()
        os.set_blocking(stream._stream.fileno(), False)
        written = self.fill(stream, 300)
        self.assertEqual(self.read(reader, len(written)), written)

    def test_reader_gone(self) -> None:
        """Where nobody reads, one of the next writes raises, as each does without the thread; who comes to read later
        has what is written then."""
        path = self.mktemp()
        os.mkfifo(path)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        stream = self.steady(open(path, "w"))  # noqa: SIM115 - closed at the end
        os.close(reader)

        def until_refused() -> None:
            while True:
                stream.write("gone\n")

        self.assertRaises(BrokenPipeError, until_refused)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        found = b""
        while b"back\n" not in found:
            try:
                stream.write("back\n")
            except BrokenPipeError:
                continue  # of a line that was before
            if select.select([reader], [], [], 0)[0]:
                found += os.read(reader, 65536)
        self.assertRegex(found, rb"\A(gone\n)*(back\n)+\Z")

    def test_signals(self) -> None:
        """No signal is handled in the thread, since the main one is to wake up; a terminal may stop it."""
        stream, reader = self.pipe()
        write, masks = os.write, []

        def written(fd: int, data: bytes) -> int:
            masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
            return write(fd, data)

        self.patch(logwriter.os, "write", written)
        stream.write("one\n")
        os.read(reader, 100)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGALRM):
            self.assertIn(number, masks[0])
        self.assertNotIn(signal.SIGTTOU, masks[0])

    def test_no_thread(self) -> None:
        """Where no thread can be had, it is written to as without all this, and no descriptor is left."""

        def none(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        self.patch(threading.Thread, "start", none)
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        before = set(os.listdir("/proc/self/fd"))
        with os.fdopen(writer, "w") as stream:
            made = SteadyStream(stream)
            self.assertIsNone(made._destination)
            self.assertEqual(set(os.listdir("/proc/self/fd")), before)
            made.write("one\n")
            made.flush()
            self.assertEqual(os.read(reader, 100), b"one\n")


SCRIPT = f"""
import os, sys
from gotunnel.cli.steadystream import SteadyStream
from tests.cli.test_logwriter import refused

os.open = refused
stream = SteadyStream(sys.stderr)
assert type(stream._destination).__name__ == {LogWriter.__name__!r}
"""
"""A process with such a stream on its standard error."""


class EndTests(ProcessTestCase):
    """The end of a process, and one that forks."""

    def process(self, script: str) -> subprocess.Popen[str]:
        """Start a process that has the stream."""
        return self.start("-c", SCRIPT + script)

    def test_end(self) -> None:
        """What was written last is there when a process has ended."""
        code, _, said = self.finish(self.process("for _ in range(300): stream.write('x' * 99 + '\\n')"))
        self.assertEqual((code, said), (0, 300 * ("x" * 99 + "\n")))

    def test_end_unread(self) -> None:
        """Nobody who does not read holds up the end of a process."""
        process = self.process("for _ in range(3000): stream.write('x' * 99 + '\\n')")
        self.assertEqual(process.wait(DEADLINE), 0)
        _, said = process.communicate()
        self.assertRegex(said, r"\A(x{99}\n)+x*\Z")

    def test_fork(self) -> None:
        """A process that goes on as its own child, as a daemon does, is heard there too, until its end; what it wrote
        before is written once, by its parent."""
        code, _, said = self.finish(
            self.process(
                """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside a thread
stream.write("before\\n")
if child := os.fork():
    os.waitpid(child, 0)
    stream.write("parent\\n")
else:
    for number in range(300):
        stream.write(f"child {number}\\n")
"""
            )
        )
        self.assertEqual(code, 0)
        lines = said.splitlines()
        lines.remove("before")
        self.assertEqual(lines, [*(f"child {number}" for number in range(300)), "parent"])

"""The systemd units, and the programs as such a unit starts them: real processes, and a socket of the test where
systemd would listen."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from unittest import SkipTest

from tests.config.files import TOKEN
from tests.e2e.program import RUNNERS, need
from tests.processes import DEADLINE, ROOT, ProcessTestCase

UNITS = ROOT / "etc" / "systemd"

ACTIVATED = (
    "import fcntl, os, sys; "
    "given = [each.split(':') for each in sys.argv[1].split()]; "
    "held = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 100) for number, _ in given]; "
    "[os.dup2(number, 3 + place) for place, number in enumerate(held)]; "
    "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(given)), "
    "LISTEN_FDNAMES=':'.join(name for _, name in given)); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"
)
"""Does what systemd does before it starts a service that has a socket."""


def settings(name: str) -> dict[str, list[str]]:
    """Return the settings of a unit, `Section.Key` to its values in order."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in (UNITS / name).read_text("utf-8").splitlines():
        if match := re.fullmatch(r"\[(\w+)\]", line):
            section = match[1]
        elif line and not line.startswith("#"):
            key, equals, value = line.partition("=")
            assert equals and section, line
            found.setdefault(f"{section}.{key}", []).append(value)
    return found


class UnitTests(ProcessTestCase):
    """The files."""

    def test_services(self) -> None:
        """Both roles are told apart by their command alone: type, watchdog, limits and walls are the same."""
        server, client = settings("gotunnel-server.service"), settings("gotunnel-client@.service")
        for key in sorted({*server, *client} - {"Unit.Description", "Service.ExecStart"}):
            self.assertEqual(server.get(key), client.get(key), key)
        for key, value in (
            ("Type", "notify"), ("Restart", "always"), ("User", "gotunnel"), ("ProtectSystem", "strict"),
            ("StateDirectory", "gotunnel"), ("CapabilityBoundingSet", ""), ("NoNewPrivileges", "yes"),
            ("ExecReload", "/bin/kill -HUP $MAINPID"),
        ):  # fmt: skip
            self.assertEqual(server[f"Service.{key}"], [value])
        self.assertGreater(int(server["Service.LimitNOFILE"][0]), 65536)
        self.assertGreater(int(server["Service.WatchdogSec"][0]), 0)
        self.assertEqual(
            server["Service.ExecStart"], ["/opt/gotunnel/bin/gotunnel-server --config /etc/gotunnel/server.yaml"]
        )
        self.assertEqual(
            client["Service.ExecStart"], ["/opt/gotunnel/bin/gotunnel-client --config /etc/gotunnel/%i.yaml"]
        )

    def test_user(self) -> None:
        """The user of the units is one that the sysusers file makes."""
        (line,) = [
            line for line in (UNITS / "gotunnel.conf").read_text().splitlines() if line and not line.startswith("#")
        ]
        self.assertEqual(line.split()[:2], ["u", settings("gotunnel-server.service")["Service.User"][0]])

    def test_socket(self) -> None:
        """The socket has the name that the server looks for, and the address of the sample."""
        unit = settings("gotunnel-server.socket")
        self.assertEqual(unit["Socket.FileDescriptorName"], ["control"])
        (address,) = unit["Socket.ListenStream"]
        self.assertIn(f'addr: "{address}"', (ROOT / "etc" / "server.yaml").read_text("utf-8"))

    def test_verify(self) -> None:
        """systemd itself has nothing to say against them: no unknown key, no value that it does not take."""
        tool = need("systemd-analyze", "systemd")
        for path in sorted(UNITS.glob("gotunnel-*")):
            text = re.sub(r"/opt/gotunnel/bin/gotunnel-\w+", shutil.which("true") or "/bin/true", path.read_text())
            (self.folder / path.name.replace("@", "@worker")).write_text(text)
        files = sorted(str(path) for path in self.folder.iterdir())
        self.assertEqual(len(files), 3)
        done = subprocess.run([tool, "verify", "--man=no", *files], capture_output=True, text=True, timeout=DEADLINE)
        if done.stderr.startswith("Failed to create directory '/run/systemd"):  # since 257
            raise SkipTest("systemd-analyze verify wants root here, or a machine that systemd has booted")
        ours = [line for line in done.stderr.splitlines() if "gotunnel" in line]
        self.assertEqual((done.returncode, ours), (0, []), done.stderr)


class SupervisedTests(ProcessTestCase):
    """The programs with the variables that systemd sets."""

    def setUp(self) -> None:
        super().setUp()
        folder = tempfile.TemporaryDirectory()  # a unix socket's path is short
        self.addCleanup(folder.cleanup)
        self.notify = f"{folder.name}/notify"
        self.systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.systemd.close)
        self.systemd.bind(self.notify)
        self.systemd.settimeout(DEADLINE)

    def config(self, role: str, *lines: str) -> tuple[str, ...]:
        """Write a configuration; return what starts the role with it."""
        text = "\n  ".join((f"{role}:", f"token: {TOKEN}", *lines))
        (self.folder / f"{role}.yaml").write_text(f"{text}\n")
        words = [word.format(role=role, name=role) for word in RUNNERS["command"]]
        return (*words, "--config", f"{role}.yaml", "--state", str(self.folder / "state"))

    def hear(self) -> str:
        return self.systemd.recv(4096).decode()

    def stop(self, process: subprocess.Popen[str]) -> None:
        """End it in order, and see that it says so."""
        process.send_signal(signal.SIGTERM)
        while (said := self.hear()) == "WATCHDOG=1":
            pass
        self.assertRegex(said, r"\ASTOPPING=1\nEXTEND_TIMEOUT_USEC=\d+\Z")
        self.assertEqual(process.wait(DEADLINE), 0)

    def test_server(self) -> None:
        """READY=1 comes when clients can connect; then signs of life from the reactor, none while the process stands
        still, and STOPPING=1."""
        command = self.config("server", 'addr: "127.0.0.1:0"')
        process = self.start_logged("server", *command, NOTIFY_SOCKET=self.notify, WATCHDOG_USEC="100000")
        self.assertEqual(self.hear(), "READY=1")
        port = int(self.wait_for_line("server.err", r"listening for clients on \S+:(\d+)", process)[1])
        socket.create_connection(("127.0.0.1", port), DEADLINE).close()
        for _ in range(3):
            self.assertEqual(self.hear(), "WATCHDOG=1")
        process.send_signal(signal.SIGSTOP)
        self.systemd.settimeout(0.4)  # eight signs would come in that time
        with self.assertRaises(TimeoutError):
            for _ in range(3):  # one may have been on its way
                self.hear()
        self.systemd.settimeout(DEADLINE)
        process.send_signal(signal.SIGCONT)
        self.assertEqual(self.hear(), "WATCHDOG=1")
        self.stop(process)

    def test_reload(self) -> None:
        """What ExecReload sends is told to systemd when it begins and when it is over, and a broken file is over, too;
        the stop then has as much time as the file says by now."""
        command = self.config("server", 'addr: "127.0.0.1:0"')
        process = self.start_logged("server", *command, NOTIFY_SOCKET=self.notify)
        self.assertEqual(self.hear(), "READY=1")
        for text in ('addr: "127.0.0.1:0"\n  drain_timeout: 700', "addr: nonsense"):
            self.config("server", text)
            process.send_signal(signal.SIGHUP)
            self.assertRegex(self.hear(), r"\ARELOADING=1\nMONOTONIC_USEC=\d+\Z")
            self.assertEqual(self.hear(), "READY=1")
        self.wait_for_line("server.err", "stays as it was: .*server.addr", process)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(self.hear(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=730000000")
        self.assertEqual(process.wait(DEADLINE), 0)

    def test_client(self) -> None:
        """A client is ready when it tries: a server that is away is no reason for systemd to start it over and over."""
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            port = nobody.getsockname()[1]
            command = self.config("client", f'name: c\n  server_addr: "127.0.0.1:{port}"\n  local_ports: [{port}]')
            process = self.start_logged("client", *command, NOTIFY_SOCKET=self.notify)
            self.assertEqual(self.hear(), "READY=1")
            self.wait_for_line("client.err", "not connected to the server", process)
            self.stop(process)

    def test_never_ready(self) -> None:
        """A server that cannot start never says READY=1."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            command = self.config("server", f'addr: "127.0.0.1:{taken.getsockname()[1]}"')
            code, _, problem = self.run_python(*command, NOTIFY_SOCKET=self.notify)
        self.assertEqual(code, 1, problem)
        self.systemd.setblocking(False)
        self.assertRaises(BlockingIOError, self.hear)

    def test_handed_over(self) -> None:
        """A server takes up the socket that it is started with, and says where it listens. When it stops, the socket
        lives on: who comes then waits, and the next server serves him."""
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)
        address = listening.getsockname()
        command = self.config("server", f'addr: "127.0.0.1:{address[1]}"')
        first = self.activated("first", listening, *command)
        self.assertEqual(self.hear(), "READY=1")
        self.wait_for_line("first.err", rf"listening for clients on 127\.0\.0\.1:{address[1]} ", first)
        self.assertNotIn("the control port comes from", (self.folder / "first.err").read_text())
        self.stop(first)

        with socket.create_connection(address, DEADLINE) as waiting:
            waiting.sendall(b"GET / HTTP/1.0\r\n\r\n")
            second = self.activated("second", listening, *command)
            self.assertEqual(self.hear(), "READY=1")
            try:
                self.assertEqual(waiting.recv(1), b"")  # turned out by the door: it was accepted
            except ConnectionResetError:
                pass
            self.stop(second)

    def test_other_address(self) -> None:
        """A socket that is not what the configuration says is used, with a warning."""
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)
        command = self.config("server", 'addr: "127.0.0.1:1"')
        process = self.activated("server", listening, *command)
        port = listening.getsockname()[1]
        self.wait_for_line("server.err", rf"comes from systemd: 127\.0\.0\.1:{port}, .*127\.0\.0\.1:1: make", process)
        self.assertEqual(self.hear(), "READY=1")
        self.stop(process)

    def test_useless_socket(self) -> None:
        """One line and exit code 1 for a socket that nobody could serve on."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wrong:
            process = self.activated("server", wrong, *self.config("server", 'addr: "127.0.0.1:0"'))
            self.assertEqual(process.wait(DEADLINE), 1)
        said = (self.folder / "server.err").read_text().splitlines()
        self.assertEqual(
            said[-1:],
            ["gotunnel-server: the socket that systemd hands over is not a TCP socket: its unit needs "
             "ListenStream=ADDRESS:PORT"],
        )  # fmt: skip

    def test_listener(self) -> None:
        """A listener takes up the socket that has its address, beside the control port; who comes there while the
        server is started anew is served by the next one."""
        control, web = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
        for each in (control, web):
            self.addCleanup(each.close)
        command = self.config(
            "server", f'addr: "127.0.0.1:{control.getsockname()[1]}"',
            f'listeners: [{{plugin: websocket, listen: "127.0.0.1:{web.getsockname()[1]}"}}]',
        )  # fmt: skip
        for name in ("first", "second"):
            with socket.create_connection(web.getsockname(), DEADLINE) as waiting:
                waiting.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
                process = self.activated(name, control, *command, web=web)
                self.assertEqual(self.hear(), "READY=1")
                self.assertEqual(waiting.recv(12), b"HTTP/1.1 404")
                self.assertNotRegex((self.folder / f"{name}.err").read_text(), "cannot listen|comes from systemd")
                self.stop(process)

    def test_stray(self) -> None:
        """One line and exit code 1 for a socket on which nobody would serve: who comes there would wait for ever."""
        control, web = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
        for each in (control, web):
            self.addCleanup(each.close)
        command = self.config("server", f'addr: "127.0.0.1:{control.getsockname()[1]}"')
        process = self.activated("server", control, *command, web=web)
        self.assertEqual(process.wait(DEADLINE), 1)
        (line,) = (self.folder / "server.err").read_text().splitlines()
        place = f"127.0.0.1:{web.getsockname()[1]}"
        self.assertTrue(line.startswith(f"gotunnel-server: systemd passes a socket for {place} (web), "), line)

    def activated(
        self, name: str, listening: socket.socket, *command: str, **more: socket.socket
    ) -> subprocess.Popen[str]:
        """Start `python *command` with a socket as systemd hands it over, and more of them by their names."""
        given = {"control": listening, **more}
        words = ("-c", ACTIVATED, " ".join(f"{each.fileno()}:{key}" for key, each in given.items()), *command)
        with open(self.folder / f"{name}.err", "w") as log:
            process = subprocess.Popen(
                [sys.executable, *words],
                cwd=self.folder, env=self.environment(NOTIFY_SOCKET=self.notify), stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, text=True, pass_fds=[each.fileno() for each in given.values()],
            )  # fmt: skip
        self.addCleanup(self._end, process)
        return process

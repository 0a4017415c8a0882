"""The commands as processes: a server, `gotunnel expose` towards it, and bytes of a visitor."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import closing
from unittest import SkipTest

from gotunnel import __version__
from tests.processes import DEADLINE, ProcessTestCase

TOKEN = "c122c389f83d7543115721971c499abec8e9b36c9673b506cef611478c040c9b"

SERVER = ["-c", "from gotunnel.cli.roles import server; server(prog_name='gotunnel-server')"]
CLIENT = ["-c", "from gotunnel.cli.roles import client; client(prog_name='gotunnel-client')"]
GOTUNNEL = ["-m", "gotunnel"]


def served_once(listening: socket.socket, public: int) -> bytes:
    """Be a visitor of the public port and the service behind it: return what comes back."""
    with closing(socket.create_connection(("127.0.0.1", public), DEADLINE)) as visitor:
        visitor.sendall(b"question")
        listening.settimeout(DEADLINE)
        service, _ = listening.accept()
        with closing(service):
            service.settimeout(DEADLINE)
            received = b""
            while len(received) < 8:
                received += service.recv(8 - len(received))
            service.sendall(received.upper())
        visitor.settimeout(DEADLINE)
        answer = b""
        while more := visitor.recv(100):
            answer += more
    return answer


class RolesTests(ProcessTestCase):
    """`gotunnel-server` and `gotunnel-client` where they cannot start."""

    def test_default_file(self) -> None:
        """Without an option they read config.yaml in this folder; without that file: 2, one line."""
        for name, command in (("server", SERVER), ("client", CLIENT)):
            code, out, err = self.run_python(*command)
            self.assertEqual((code, out, err.count("\n")), (2, "", 1), name)
            self.assertIn("config.yaml: does not exist", err)

    def test_other_section(self) -> None:
        """A file of the other role is refused by name."""
        (self.folder / "config.yaml").write_text(f'server:\n  addr: "127.0.0.1:0"\n  token: "{TOKEN}"\n')
        code, _, err = self.run_python(*CLIENT)
        self.assertEqual(code, 2)
        self.assertIn("the file has no client section, only server", err)

    def test_port_in_use(self) -> None:
        """One line that names the address, exit code 1, no traceback."""
        with closing(socket.create_server(("127.0.0.1", 0))) as other:
            port = other.getsockname()[1]
            (self.folder / "s.yaml").write_text(f'server:\n  addr: "127.0.0.1:{port}"\n  token: "{TOKEN}"\n')
            code, out, err = self.run_python(*SERVER, "-c", "s.yaml")
        self.assertEqual((code, out, err.count("\n")), (1, "", 1), err)
        self.assertTrue(err.startswith("gotunnel-server: port_in_use: "), err)
        self.assertIn(f"127.0.0.1:{port}", err)

    def test_relay_unfit(self) -> None:
        """A relay that cannot be had here: one line, and the code that systemd does not start anew."""
        (self.folder / "s.yaml").write_text(f"server: {{addr: '127.0.0.1:0', token: {TOKEN}, relay: native}}\n")
        (self.folder / "c.yaml").write_text(
            f"client: {{name: a, server_addr: '127.0.0.1:9', token: {TOKEN}, local_ports: [8000], relay: native}}\n"
        )
        for command, file, program in ((SERVER, "s.yaml", "server"), (CLIENT, "c.yaml", "client")):
            code, out, err = self.run_python(*command, "-c", file, GOTUNNEL_NATIVE="0")
            self.assertEqual((code, out, err.count("\n")), (2, "", 1), err)
            self.assertTrue(err.startswith(f"gotunnel-{program}: relay: native cannot be had here: it "), err)

    def test_bad_option(self) -> None:
        """A bad command line is 2, and two lines that say what is wrong and where to look."""
        for words, problem in (
            (["--nonsense"], "option --nonsense not recognized"),
            (["more"], "Wrong number of arguments."),
            (["--log-format", "xml"], "--log-format is text or json"),
        ):
            code, out, err = self.run_python(*SERVER, *words)
            self.assertEqual((code, out), (2, ""))
            self.assertEqual(err, f"gotunnel-server: {problem}\nTry 'gotunnel-server --help'.\n")

    def test_streams(self) -> None:
        """A full disk behind --help is told as by `gotunnel`, a pipe that nobody reads is not, and an error stays off
        standard output, also where there is no standard error."""
        full = "gotunnel-server: standard output cannot be written: no space left on device; make room where it goes\n"
        for words, where, expected in (
            (["--help"], "> /dev/full", (1, "", full)), (["--version"], "> /dev/full", (1, "", full)),
            (["--help"], ">&-", (0, "", "")), (["-c", "none.yaml"], "2>&-", (2, "", "")),
        ):  # fmt: skip
            if "full" in where and not os.path.exists("/dev/full"):
                continue
            done = subprocess.run(
                ["sh", "-c", f'exec "$@" {where}', "sh", sys.executable, *SERVER, *words], env=self.environment(),
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE, check=False,
                cwd=self.folder,
            )  # fmt: skip
            self.assertEqual((done.returncode, done.stdout, done.stderr), expected, (words, where))
        for unbuffered in ("", "1"):
            reading, writing = os.pipe()
            os.close(reading)
            with open(writing, "w") as pipe:
                done = subprocess.run(
                    [sys.executable, *SERVER, "--help"], env=self.environment(PYTHONUNBUFFERED=unbuffered), stdout=pipe,
                    stderr=subprocess.PIPE, text=True, timeout=DEADLINE, check=False,
                )  # fmt: skip
            self.assertEqual((done.returncode, done.stderr), (1, ""))

    def test_help(self) -> None:
        """Both say what they are for and name every option; neither loads click, which a role has no use for."""
        for command in (SERVER, CLIENT):
            for word in ("-h", "--help"):
                code, out, err = self.run_python(*command, word)
                self.assertEqual((code, err), (0, ""))
                for wanted in ("Publish ports", "--config", "--state", "--log-format", "--version"):
                    self.assertIn(wanted, out)
        code, out, _ = self.run_python(
            "-c", "import sys, gotunnel.cli.roles, gotunnel.tap.server; print('click' in sys.modules)"
        )
        self.assertEqual((code, out), (0, "False\n"))

    def test_version(self) -> None:
        """The name and the version."""
        self.assertEqual(self.run_python(*CLIENT, "--version")[:2], (0, f"gotunnel-client {__version__}\n"))


class ExposeTests(ProcessTestCase):
    """`gotunnel expose` with a real server."""

    def setUp(self) -> None:
        super().setUp()
        (self.folder / "config.yaml").write_text(
            f'server:\n  addr: "127.0.0.1:0"\n  token: "{TOKEN}"\n  allow_udp_ports: [1024-65535]\n'
        )
        self.server = self.start_logged("server", *SERVER)
        line = self.wait_for_line("server.err", r"listening for clients on (127\.0\.0\.1:\d+)", self.server)
        self.address = line[1]
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.listening.close)
        self.local = self.listening.getsockname()[1]

    def expose(self, *options: str, token: str = TOKEN) -> subprocess.Popen[str]:
        command = [*GOTUNNEL, "expose", str(self.local), "--server", self.address, *options]
        return self.start_logged("expose", *command, GOTUNNEL_TOKEN=token)

    def test_works(self) -> None:
        """It says where, bytes travel both ways, and Ctrl-C ends it with 0."""
        process = self.expose("--remote", "0")
        line = self.wait_for_line(
            "expose.out",
            rf"^127\.0\.0\.1:(\d+) reaches 127\.0\.0\.1:{self.local}\. Ctrl-C ends it\.$",
            process,
        )
        self.assertEqual(served_once(self.listening, int(line[1])), b"QUESTION")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(DEADLINE), 0)
        for name in ("expose.out", "expose.err", "server.err"):
            self.assertNotIn(TOKEN, (self.folder / name).read_text())
        self.server.terminate()
        self.assertEqual(self.server.wait(DEADLINE), 0)

    def test_unwritable(self) -> None:
        """A full disk or a closed pipe at its standard output ends no tunnel: the address is on standard error."""
        if not os.path.exists("/dev/full"):
            raise SkipTest("this system has no /dev/full")
        script = "import os; os.dup2(os.open('/dev/full', os.O_WRONLY), 1); from gotunnel.cli.main import main; main()"
        words = ("expose", str(self.local), "--server", self.address, "--remote", "0")
        process = self.start_logged("expose", "-c", script, *words, GOTUNNEL_TOKEN=TOKEN)
        line = self.wait_for_line("expose.err", r"^127\.0\.0\.1:(\d+) reaches ", process)
        self.assertEqual(served_once(self.listening, int(line[1])), b"QUESTION")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(DEADLINE), 1)
        said = (self.folder / "expose.err").read_text()
        self.assertIn("standard output cannot be written", said)
        self.assertNotIn("Traceback", said)

    def test_datagrams(self) -> None:
        """With --udp a datagram reaches the local port, and its answer who has asked."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as service, socket.socket(
            socket.AF_INET, socket.SOCK_DGRAM
        ) as visitor:
            service.bind(("127.0.0.1", 0))
            self.local = service.getsockname()[1]
            process = self.expose("--remote", "0", "--udp")
            line = self.wait_for_line("expose.out", r"^127\.0\.0\.1:(\d+) reaches ", process)
            for each in (service, visitor):
                each.settimeout(DEADLINE)
            visitor.sendto(b"question", ("127.0.0.1", int(line[1])))
            asked, source = service.recvfrom(100)
            service.sendto(asked.upper(), source)
            self.assertEqual(visitor.recv(100), b"QUESTION")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(DEADLINE), 0)

    def test_refused(self) -> None:
        """A port that the server does not give ends it: 1, and why."""
        process = self.expose("--remote", "80")
        self.assertEqual(process.wait(DEADLINE), 1)
        self.assertIn(
            "gotunnel expose: the server refuses: acl_denied", (self.folder / "expose.err").read_text()
        )

    def test_wrong_token(self) -> None:
        """The log says what does not fit; it goes on trying until a signal."""
        process = self.expose("--remote", "0", token="f" * 10 + TOKEN)
        self.wait_for_line("expose.err", "does not let this client in: auth_failed", process)
        process.terminate()
        self.assertEqual(process.wait(DEADLINE), 0)

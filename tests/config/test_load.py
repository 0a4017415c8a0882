"""Files that cannot be read at all, and the way from a file to the sections of a role."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from gotunnel.address import HostPort
from gotunnel.config.load import MAX_BYTES, load, load_client, load_server
from gotunnel.errors import ConfigError
from tests.config.files import CLIENT, OTHER_TOKEN, SERVER, TOKEN, FileTestCase


class UnreadableTests(FileTestCase):
    """Each gives one line, and no traceback."""

    def refused(self, path: Path) -> str:
        """Return the one line for a path."""
        error = self.assertRaises(ConfigError, load, path, {})
        self.assertEqual(len(error.problems), 1)
        return str(error)

    def test_missing(self) -> None:
        """The line names the file, --config, and the command that has no such option."""
        path = self.folder / "none.yaml"
        cure = "write it, or name another one: by --config, or behind `gotunnel check`"
        self.assertEqual(self.refused(path), f"{path}: does not exist; {cure}")

    def test_directory(self) -> None:
        """A folder is called one."""
        self.assertIn("is a directory", self.refused(self.folder))

    def test_pipe(self) -> None:
        """A pipe that nobody writes to is empty, and nobody waits for it: a reload would never end, nor the process."""
        path = self.folder / "pipe"
        os.mkfifo(path)
        code = "import sys; from gotunnel.config.load import load; load(sys.argv[1])"
        ran = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, timeout=20)
        self.assertIn(f"{path}: is empty", ran.stderr)

    def test_pipe_of_a_shell(self) -> None:
        """What a shell writes into a pipe (`--config <(…)`) is read to its end, however late it comes."""
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)

        def write() -> None:
            time.sleep(0.05)
            with open(writing, "wb") as pipe:
                pipe.write(SERVER.encode())

        late = threading.Thread(target=write)
        late.start()
        self.addCleanup(late.join)
        self.assertIsNotNone(load(f"/dev/fd/{reading}").server)

    def test_permission(self) -> None:
        """A file that this user may not read is called so."""
        path = self.write(SERVER)
        path.chmod(0)
        if os.geteuid() == 0:
            # root may read everything, so become nobody for a moment
            os.seteuid(65534)
            self.addCleanup(os.seteuid, 0)
        self.assertIn("may not be read by this user", self.refused(path))

    def test_nul_in_path(self) -> None:
        """A path that no system call takes is one line, too."""
        self.assertIn("cannot be read", self.refused(Path("a\0b")))

    def test_too_long(self) -> None:
        """A disk image is refused without being parsed."""
        self.assertIn("longer than", self.refused(self.write(b"#" * (MAX_BYTES + 1))))

    def test_empty(self) -> None:
        """No bytes, only comments, only white space, only null: all of them are empty."""
        for text in ("", "# nothing\n", " \n\n", "---\n", "~\n", "{}\n"):
            self.assertIn("is empty", str(self.problem(text)), repr(text))

    def test_no_mapping(self) -> None:
        """A list or a word is not a configuration; what it says is not repeated."""
        for text in ("- a\n", "just-some-secret-words\n", "12\n"):
            problem = self.problem(text)
            self.assertEqual((problem.line, problem.wrong), (1, "is not a group of keys"))
            self.assertNotIn("secret", str(problem))

    def test_not_utf8(self) -> None:
        """The line of the first bad byte is named."""
        problem = self.problem(b"server:\n  addr: ':1'\n  # caf\xe9\n")
        self.assertEqual((problem.line, problem.wrong), (3, "is not UTF-8 text"))

    def test_byte_order_mark(self) -> None:
        """What Windows editors put in front of UTF-8 does no harm."""
        self.assertIsNotNone(self.load(b"\xef\xbb\xbf" + SERVER.encode()).server)

    def test_control_character(self) -> None:
        """A character that YAML forbids is named with its line."""
        problem = self.problem("server:\n  addr: 'a\x07'\n")
        self.assertEqual(problem.line, 2)
        self.assertIn("U+0007", problem.wrong)


class RoleTests(FileTestCase):
    """A file may hold both sections; each command reads its own."""

    def test_both(self) -> None:
        """Both sections of one file load together."""
        file = self.load(SERVER + CLIENT + "  local_ports: 22\n")
        assert file.server is not None and file.client is not None
        self.assertEqual(file.client.server_addr, HostPort("tunnel.example.com", 17000))
        self.assertEqual(file.warnings, [])

    def test_own_section_only(self) -> None:
        """A server does not stumble over the client's variables or token file, and the reverse."""
        path = self.write(SERVER + "client:\n  token_file: ${NONE}\n  nonsense: 1\n")
        self.assertEqual(load_server(path, {}).token.get_secret_value(), TOKEN)
        path = self.write("server:\n  token_file: none\n  addr: no\n" + CLIENT + "  local_ports: 22\n")
        self.assertEqual(load_client(path, {}).name, "edge-07")
        self.assertRaises(ConfigError, load, path, {})

    def test_missing_section(self) -> None:
        """A file of the other role is refused by name."""
        error = self.assertRaises(ConfigError, load_client, self.write(SERVER), {})
        self.assertIn("client: the file has no client section, only server", str(error))
        error = self.assertRaises(ConfigError, load_server, self.write(CLIENT + "  local_ports: 22\n"), {})
        self.assertIn("server: the file has no server section, only client", str(error))

    def test_alias_into_the_other_section(self) -> None:
        """What is wrong in a skipped section still has a line when an alias brings it into ours."""
        text = "client:\n  name: &n !x y\n" + SERVER + "  log_level: *n\n"
        error = self.assertRaises(ConfigError, load_server, self.write(text), {})
        self.assertIn("YAML tag", str(error))

    def test_environment_is_the_default(self) -> None:
        """Without an `env` argument the process's own environment counts."""
        self.patch(os, "environ", {"GOTUNNEL_TOKEN": OTHER_TOKEN})
        server = load_server(self.write("server:\n  addr: 17000\n"))
        self.assertEqual(server.token.get_secret_value(), OTHER_TOKEN)

    def test_all_at_once(self) -> None:
        """Mistakes of every kind are told in one go, in the order of lines, with file, key and cure."""
        text = (
            "server:\n"  # 1
            '  addr: "0.0.0.0:170000"\n'
            "  log_level: warning\n"
            "  tokne: x\n"
            "  heartbeat:\n"
            "  tls: {mode: of}\n"
            "  leg_wait: ${WAIT}\n"
            "client:\n"  # 8
            "  name: no\n"
            f'  token: "{TOKEN}"\n'
            "  server_addr: a.example\n"
            "  mappings:\n"
            "    - {name: a, local: 22, remote: 20022}\n"
            "    - {name: a, local: 23, remote: 20022}\n"
            "    - {name: c, local: 24}\n"
            "  name: edge\n"
            "limits: 3\n"
        )
        found = [(problem.line, problem.key) for problem in self.problems(text)]
        self.assertEqual(
            found,
            [
                (1, "server.token"),
                (2, "server.addr"),
                (3, "server.log_level"),
                (4, "server.tokne"),
                (5, "server.heartbeat"),
                (6, "server.tls.mode"),
                (7, "server.leg_wait"),
                (9, "client.name"),
                (14, "client.mappings[1].name"),
                (14, "client.mappings[1].remote"),
                (15, "client.mappings[2].remote"),
                (16, "client.name"),
                (17, "limits"),
            ],
        )

    def test_every_problem_has_a_cure(self) -> None:
        """No line leaves the reader alone."""
        for problem in self.problems("server:\n  addr: x:y\n  tls: 3\n  limits: {legs: a}\nclient: [1]\n"):
            self.assertTrue(problem.wrong and problem.cure, str(problem))

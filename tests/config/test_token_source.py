"""Where a token comes from: exactly one place, and one that only its owner can read."""

from __future__ import annotations

import os
import socket

from gotunnel.config.load import load, load_server
from gotunnel.errors import ConfigError
from tests.config.files import CLIENT, OTHER_TOKEN, SERVER, TOKEN, FileTestCase

FROM_FILE = "server:\n  token_file: token\n"


class SourceTests(FileTestCase):
    """The file, a file that it names, or the environment."""

    def token(self, text: str, env: dict[str, str] | None = None) -> str:
        """Return the server's token."""
        return load_server(self.write(text), env or {}).token.get_secret_value()

    def test_inline(self) -> None:
        """A token in the file is stripped, as the wire contract has it."""
        self.assertEqual(self.token(f"server:\n  token: ' {TOKEN} '\n"), TOKEN)

    def test_file(self) -> None:
        """A relative path is relative to the configuration; the content is stripped; the path is kept, absolute."""
        path = self.write(f"{TOKEN}\r\n", "token")
        self.assertEqual(self.token(FROM_FILE), TOKEN)
        self.assertEqual(self.token(f"server:\n  token_file: {path}\n"), TOKEN)
        self.assertEqual(load_server(self.write(FROM_FILE), {}).token_file, path)

    def test_relative_to_the_file_and_not_to_the_process(self) -> None:
        """Another working folder changes nothing, also when the configuration's own path is relative."""
        self.write(TOKEN, "token")
        self.write(FROM_FILE)
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        os.chdir(self.folder.parent)
        self.assertEqual(load_server(f"{self.folder.name}/config.yaml", {}).token_file, self.folder / "token")

    def test_environment(self) -> None:
        """GOTUNNEL_TOKEN serves both roles when the file names no token."""
        text = (
            "server:\n  addr: 17000\n" + CLIENT.replace(f'  token: "{TOKEN}"\n', "") + "  local_ports: 22\n"
        )
        file = self.load(text, {"GOTUNNEL_TOKEN": OTHER_TOKEN})
        assert file.server is not None and file.client is not None
        self.assertEqual(file.server.token.get_secret_value(), OTHER_TOKEN)
        self.assertEqual(file.client.token.get_secret_value(), OTHER_TOKEN)

    def test_none(self) -> None:
        """No token at all is refused with the way to one."""
        problem = self.problem("server:\n  addr: 17000\n")
        self.assertEqual((problem.line, problem.key, problem.wrong), (1, "server.token", "there is no token"))
        self.assertIn("gotunnel token", problem.cure)

    def test_two(self) -> None:
        """Any two of the three are refused by name, equal or not."""
        self.write(TOKEN, "token")
        for text, env, named in (
            (f"{SERVER}  token_file: token\n", {}, "token and token_file both name a token"),
            (
                SERVER,
                {"GOTUNNEL_TOKEN": TOKEN},
                "token and GOTUNNEL_TOKEN in the environment both name a token",
            ),
            (
                FROM_FILE,
                {"GOTUNNEL_TOKEN": TOKEN},
                "token_file and GOTUNNEL_TOKEN in the environment both name a token",
            ),
            (
                f"{SERVER}  token_file: token\n",
                {"GOTUNNEL_TOKEN": OTHER_TOKEN},
                "token, token_file, GOTUNNEL_TOKEN",
            ),
        ):
            problem = self.problem(text, env)
            self.assertIn(named, problem.wrong)
            self.assertEqual(problem.cure, "keep one of them")
            self.assertNotIn(TOKEN, str(problem))

    def test_the_variable_named_in_the_file(self) -> None:
        """token: ${GOTUNNEL_TOKEN} is one source, named twice."""
        self.assertEqual(
            self.token("server:\n  token: ${GOTUNNEL_TOKEN}\n", {"GOTUNNEL_TOKEN": TOKEN}), TOKEN
        )

    def test_empty_variable(self) -> None:
        """An empty GOTUNNEL_TOKEN does not disturb a file's token, and is no token by itself."""
        self.assertEqual(self.token(SERVER, {"GOTUNNEL_TOKEN": ""}), TOKEN)
        problem = self.problem("server:\n  addr: 1\n", {"GOTUNNEL_TOKEN": ""})
        self.assertEqual(problem.wrong, "GOTUNNEL_TOKEN in the environment: the token is empty")

    def test_refused_everywhere(self) -> None:
        """A placeholder is refused from each source, at the key that brought it, with the words of the source."""
        self.write("changeme\n", "token")
        for text, env, key in (
            ("server:\n  token: changeme\n", {}, "server.token"),
            ("server:\n  token: ${T}\n", {"T": "changeme"}, "server.token"),
            (FROM_FILE, {}, "server.token_file"),
            ("server:\n  addr: 1\n", {"GOTUNNEL_TOKEN": "changeme"}, "server"),
        ):
            problem = self.problem(text, env)
            self.assertEqual(problem.key, key)
            self.assertIn("placeholder", problem.wrong)

    def test_never_shown(self) -> None:
        """Whatever is wrong with a token, the message does not hold it."""
        for token in (
            f"{TOKEN} x",
            f"{TOKEN}é",
            f"{TOKEN}\\0",
            "your-own-9c51e8d24b60",
            "[7f3a9c51e8d24b60]",
        ):
            problem = self.problem(f'server:\n  token: "{token}"\n')
            self.assertNotIn(token[:12], str(problem))
        for value in (f"[{TOKEN}]", f"{{{TOKEN}: 1}}", "true", "1.5"):
            problem = self.problem(f"server:\n  token: {value}\n")
            self.assertNotIn(TOKEN, str(problem))

    def test_weak(self) -> None:
        """A doubtful token is a warning that names the key."""
        file = self.load("server:\n  token: correct-horse-battery-staple\n")
        (line,) = file.warnings
        self.assertTrue(line.startswith("server.token: the token looks like words"), line)


class TokenFileTests(FileTestCase):
    """The file that holds a token is checked as ssh checks a key."""

    def refused(self, env: dict[str, str] | None = None) -> str:
        """Return the one line about `token`."""
        problem = self.problem(FROM_FILE, env)
        self.assertEqual((problem.line, problem.key), (2, "server.token_file"))
        self.assertNotIn(TOKEN, str(problem))
        return str(problem)

    def test_mode(self) -> None:
        """Whoever else could read or change it: refused, with the command that cures it."""
        path = self.write(TOKEN, "token")
        for mode in (0o640, 0o604, 0o620, 0o602, 0o644, 0o660):
            path.chmod(mode)
            line = self.refused()
            self.assertIn(f"(mode {mode:04o})", line)
            self.assertTrue(line.endswith(f"; chmod 600 {path}"), line)
        for mode in (0o600, 0o400):
            path.chmod(mode)
            self.assertIsNotNone(self.load(FROM_FILE).server)

    def test_owner(self) -> None:
        """A file of somebody else's is refused; root's is fine."""
        path = self.write(TOKEN, "token")
        mine = path.stat().st_uid
        self.patch(os, "geteuid", lambda: mine + 1)
        if mine == 0:
            self.assertIsNotNone(self.load(FROM_FILE).server)
            os.chown(path, 4242, -1)
        said = self.refused()
        self.assertIn(f"chown {mine + 1} {path}", said)
        # Root that heeded the former alone would have taken the file from a server that runs as its owner.
        self.assertIn("run this as that user, or", said)

    def test_systemd_credential(self) -> None:
        """systemd hands a credential to one user with an ACL, which shows as the group's right to read."""
        path = self.write(TOKEN, "token")
        path.chmod(0o440)
        self.refused()
        text = "server:\n  token_file: ${CREDENTIALS_DIRECTORY}/token\n"
        self.assertIsNotNone(self.load(text, {"CREDENTIALS_DIRECTORY": str(self.folder)}).server)
        self.assertIn("chmod", self.refused({"CREDENTIALS_DIRECTORY": str(self.folder.parent)}))
        path.chmod(0o444)
        self.assertIn("chmod", self.refused({"CREDENTIALS_DIRECTORY": str(self.folder)}))

    def test_not_there(self) -> None:
        """A missing file, a folder, a pipe and a socket are told apart from tokens, and nothing hangs."""
        self.assertIn("no such file", self.refused())
        (self.folder / "token").mkdir()
        self.assertIn("is a directory", self.refused())
        (self.folder / "token").rmdir()
        os.mkfifo(self.folder / "token", 0o600)
        self.assertIn("is not a regular file", self.refused())
        (self.folder / "token").unlink()
        listening = socket.socket(socket.AF_UNIX)
        self.addCleanup(listening.close)
        before = os.getcwd()
        os.chdir(self.folder)  # the path of a socket is short
        try:
            listening.bind("token")
        finally:
            os.chdir(before)
        self.assertIn("cannot be read", self.refused())

    def test_content(self) -> None:
        """Something else than one token is refused by the file's name."""
        for content, reason in (
            (b"", "is empty"),
            (b"a b c d e f g h i j", "white space"),
            (b"\xff" * 32, "not text"),
            (b"x" * 5000, "longer than"),
        ):
            self.write(content, "token")
            self.assertIn(reason, self.refused())

    def test_token_in_the_place_of_the_path(self) -> None:
        """The token itself as token_file is not repeated."""
        problem = self.problem(f"server:\n  token_file: {TOKEN}\n")
        self.assertIn("looks like a token", problem.wrong)
        self.assertNotIn(TOKEN, str(problem))
        problem = self.problem("server:\n  token_file: ${T}\n", {"T": f"{TOKEN}/x.y"})
        self.assertNotIn(TOKEN, str(problem))

    def test_not_a_path(self) -> None:
        """Numbers, lists and NUL are no paths."""
        for value in ("12", "[a]", '"a\\0b"', '""', "true"):
            self.assertEqual(self.problem(f"server:\n  token_file: {value}\n").key, "server.token_file")

    def test_other_mistakes_are_told_too(self) -> None:
        """A bad token file does not hide the rest."""
        error = self.assertRaises(ConfigError, load, self.write(FROM_FILE + "  addr: x:y\n  zzz: 1\n"), {})
        self.assertEqual(
            [problem.key for problem in error.problems], ["server.token_file", "server.addr", "server.zzz"]
        )

"""Nothing that an operator reads lacks Chinese, and no Chinese says something else than the English."""

from __future__ import annotations

import ast
import re

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.i18n.codes import FILE, code_of, numbers
from gotunnel.i18n.events import PROSE
from gotunnel.i18n.sentences import fields_of
from tests.messages import MO, PO, catalogue, compiled, renewed, written
from tests.sourcetexts import LOOKS_LIKE_PROSE, ROOT, NotConstant, of_source
from tests.texts import entries, log_formats

CODE_TOO = [
    "mapping:  must have one of mapping, dial and measure",
    "mapping: .client needs mapping",
    "mapping: name it once; mappings can publish a service twice",
    "token: make one with `gotunnel token`, and name it with token or token_file",
    "token: make one with `gotunnel token`, and name it with token_file, token or the variable GOTUNNEL_TOKEN",
    "token: make one with `gotunnel token`, for the Go clients alone, and name it with token or token_file",
    "leg: a connection begins with hello or leg",
    "server: certificates in PEM, one of which must have signed the API server's certificate",
    "server: the API server",
    "server: correct client.server_addr (or servers), or what answers for this name (/etc/hosts, DNS)",
    "client: remove public and clients",
]
"""Entries in which such a word is a key or a variable."""

MEND = "run `make messages`, and fill in what it lists"


class CatalogueTests(SynchronousTestCase):
    """gotunnel/i18n/zh.po against the source."""

    def setUp(self) -> None:
        self.catalogue = catalogue()
        self.chinese = {str(message.id): str(message.string) for message in self.catalogue if message.id}

    def test_complete(self) -> None:
        """Every log line and every sentence has Chinese, and nothing is translated that nobody says."""
        found = {entry.text for entry in entries()}
        self.assertGreater(len(found), 800)
        self.assertEqual(sorted(text for text in found if not self.chinese.get(text)), [], MEND)
        self.assertEqual(sorted(set(self.chinese) - found), [], MEND)

    def test_fields(self) -> None:
        """Each entry has the fields of the English one, each as often and with the same format."""
        for english, chinese in self.chinese.items():
            self.assertEqual(fields_of(english), fields_of(chinese), english)

    def test_chinese(self) -> None:
        """Each entry is Chinese, but for what is code in both languages."""
        same = {english for english, chinese in self.chinese.items() if not re.search("[\u4e00-\u9fff]", chinese)}
        self.assertEqual(
            same, {"TLS", "egress", "{advice}", "{whose} {problem} ({file})",
                   "chown {user} {quoted}", "chmod 600 {name}",
                   "chmod 600 {quoted}", "default-src 'none'; frame-ancestors 'none'", "TLS: {said}",
                   "true, false"},
        )  # fmt: skip

    def test_words_of_the_glossary(self) -> None:
        """The words of the glossary have one translation each."""
        wrong: list[str] = []
        for word, chinese in {
            "visitor": "访客", "mapping": "映射", "token": "令牌", "leg": "支路", "server": "服务端",
            "client": "客户端", "control connection": "控制连接",
        }.items():  # fmt: skip
            for english, text in self.chinese.items():
                # Not what is code (server.tls, clients[3]), and not the server name of TLS, which is another thing.
                said = re.sub(r"`[^`]*`|gotunnel client|server name|\{[^}]*\}|--[\w-]+", "", english)
                if re.search(rf"(?<![\w./\"-]){word}s?(?![\w.:/=\[\"-])", said):
                    wrong += [] if chinese in text else [f"{word}: {english}"]
        self.assertEqual(sorted(wrong), sorted(CODE_TOO))

    def test_compiled(self) -> None:
        """The committed `.mo` is what the `.po` says, and the `.po` is as `make messages` writes it."""
        self.assertEqual(MO.read_bytes(), compiled(self.catalogue), MEND)
        self.assertEqual(PO.read_bytes(), written(renewed(self.catalogue, entries())), MEND)


class CodeTests(SynchronousTestCase):
    """gotunnel/i18n/codes.txt against the source."""

    def test_complete(self) -> None:
        """Every log line has a number, and every number a log line."""
        self.assertEqual(set(numbers(FILE.read_text("utf-8"))), set(log_formats()), MEND)

    def test_unique(self) -> None:
        """No number and no line stands there twice."""
        lines = [line for line in FILE.read_text("utf-8").splitlines() if not line.startswith("#")]
        self.assertEqual(len({line.partition(" ")[0] for line in lines}), len(lines))
        self.assertEqual(len({line.partition(" ")[2] for line in lines}), len(lines))

    def test_of_the_original(self) -> None:
        """1001 and 1002 mean what they mean in the Go gotunnel: no connection to the server, and no way in."""
        self.assertEqual(
            [code_of("not connected to the server {server}: {reason}; next try in {seconds:.1f} s"),
             code_of("the server {server} does not let this client in: {reason}{hint}; next try in {seconds:.1f} s")],
            [1001, 1002],
        )  # fmt: skip
        self.assertIsNone(code_of("something else"))


class ExtractionTests(SynchronousTestCase):
    """The search for texts finds them, however they are written."""

    def found(self, source: str, path: str = "client/x.py") -> list[tuple[str, str]]:
        return [(entry.text, entry.level) for entry in of_source(source, path)]

    def test_log_lines(self) -> None:
        """Joined strings, constants, tables, two branches, and those that are limited."""
        for source, expected in [
            ("self.log.info('a {b} '\n 'is c', b=1)", [("a {b} is c", "info")]),
            ("W = 'all is lost'\nlog.error(W)", [("all is lost", "error")]),
            ("W = {1: 'one is lost'}\nlog.warn(W[x])", [("one is lost", "warn")]),
            ("log.debug('is it' if x else 'it is not')", [("is it", "debug"), ("it is not", "debug")]),
            ("log.failure('a bug', failure)", [("a bug", "critical")]),
            ("self._warn('kind', 'the {x} is odd', x=1)", [("the {x} is odd{more}", "warn")]),
            ("hub.say_of(name, 'kind', '{client} is odd')", [("{client} is odd{more}", "warn")]),
        ]:
            self.assertEqual(self.found(source), expected, source)

    def test_not_constant(self) -> None:
        """A format that cannot be known is a mistake."""
        for source in ("log.info(f'a {b}')", "log.info(text)", "log.warn('a ' + b)"):
            self.assertRaises(NotConstant, self.found, source)

    def test_sentences(self) -> None:
        """An f-string is a format with the names of what it shows; braces of a constant are no fields."""
        for source, expected in [
            ("raise X(f'{self.path}: it is {shown(value)}')", "{path}: it is {value}"),
            ("raise X(f'from {a[0]} to {a[1]}, not {a[0]}')", "from {a} to {a2}, not {a}"),
            ("cure = 'write {a: b}'", "write {{a: b}}"),
            ("def f():\n    return 'the name is odd'", "the name is odd"),
        ]:
            self.assertEqual(self.found(source), [(expected, "")], source)

    def test_left_out(self) -> None:
        """What is for developers, for pages and for machines is no sentence."""
        for source in (
            "'''What it is for.'''", "x = Field(description='what it is for')",
            "raise LocalProtocolError('it is ours')",
            "raise ValueError('it is called badly')", "if x == 'host bits set': pass", "PROGRAM = 'gotunnel x is it'",
        ):  # fmt: skip
            self.assertEqual(self.found(source), [], source)
        self.assertEqual(self.found("def f():\n    return 'all is well'", "config/reference.py"), [])

    def test_prose_fields(self) -> None:
        """A field of a log line or of a sentence that is given a sentence is one of those that are translated."""
        for path in sorted((ROOT / "gotunnel").rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if not isinstance(node, ast.Call):
                    continue
                called = ast.unparse(node.func)
                if "log." not in called and called != "Sentence":
                    continue
                for keyword in node.keywords:
                    parts = list(ast.walk(keyword.value))
                    known = {each.args[0] for each in parts if isinstance(each, ast.Call) and each.args
                             and ast.unparse(each.func) == "Sentence"}  # fmt: skip
                    texts = [each.value for each in parts if isinstance(each, ast.Constant) and each not in known]
                    # " and " is what names are joined with.
                    if any(isinstance(text, str) and LOOKS_LIKE_PROSE.search(text.strip()) for text in texts):
                        self.assertIn(keyword.arg, PROSE, f"{path}:{node.lineno}")

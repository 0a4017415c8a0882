"""A sentence that keeps its format and its values."""

from __future__ import annotations

import copy
import gc
import json
import pickle
import weakref

from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.errors import (
    AuthRejected,
    ConfigError,
    GotunnelError,
    PortUnavailable,
    Problem,
    Sentence,
    lines_of,
    printable,
    said_behind,
)
from gotunnel.i18n.language import language


class SentenceTests(SynchronousTestCase):
    """English to whoever takes it as text, and more to whoever asks."""

    INNER = Sentence("no answer within {timeout:g} s", timeout=2.0)
    IT = Sentence("{target}: {reason}", target="192.0.2.1:80", reason=INNER)

    def test_text(self) -> None:
        """It is a text like any other."""
        self.assertEqual(self.IT, "192.0.2.1:80: no answer within 2 s")
        self.assertEqual(json.dumps([self.IT]), '["192.0.2.1:80: no answer within 2 s"]')
        self.assertEqual({self.IT: 1}["192.0.2.1:80: no answer within 2 s"], 1)
        self.assertIs(type(f"it: {self.IT}"), str)

    def test_kept(self) -> None:
        """str(), printable(), being raised, Twisted's failures and copies keep it."""
        for said in (
            str(self.IT), printable(self.IT, 5), str(GotunnelError(self.IT)), copy.deepcopy(self.IT),
            Failure(GotunnelError(self.IT)).getErrorMessage(), pickle.loads(pickle.dumps(self.IT)),
        ):  # fmt: skip
            assert isinstance(said, Sentence)
            self.assertEqual((said, said.english), (self.IT, "{target}: {reason}"))
            self.assertEqual(language("zh").sentence(said), "192.0.2.1:80: 2 秒内没有应答")

    def test_control_characters(self) -> None:
        """None gets through in a value."""
        self.assertEqual(printable(Sentence("{name} is it", name="a\x1bb")), "a\\x1bb is it")

    def test_errors(self) -> None:
        """What joins sentences in our errors joins sentences."""
        say = language("zh").sentence
        self.assertEqual(say(str(AuthRejected("auth_failed", "the client name or the token is wrong"))),
                         "auth_failed: 客户端名字或令牌有误")  # fmt: skip
        self.assertEqual(say(str(PortUnavailable("limit", self.INNER))), "limit: 2 秒内没有应答")
        problems = ConfigError(
            [Problem("a.yaml", 3, "server.addr", "is empty", "try again"), Problem("b", None, "", self.INNER, "")]
        )
        self.assertEqual(list(map(say, lines_of(problems))),
                         ["a.yaml:3: server.addr: 为空；请重试", "b: 2 秒内没有应答"])  # fmt: skip
        self.assertEqual(lines_of(GotunnelError("a\nb")), ["a", "b"])

    def test_errors_as_values(self) -> None:
        """An error that stands in one is only what it says: its frames are let go."""
        error = GotunnelError("it has expired")
        gone = weakref.ref(error)
        said = Sentence("it cannot be asked: {error}", error=error)
        del error
        gc.collect()
        self.assertIsNone(gone())
        self.assertEqual(said, "it cannot be asked: it has expired")
        self.assertEqual(Sentence("{why}", why=OSError(2, "No such file", "/x")), "No such file")

    def test_joined(self) -> None:
        """Those that are empty are left out; a mark behind Chinese is Chinese, one behind a name is not."""
        say = language("zh").sentence
        it = Sentence.joined("; ", ["is empty", "", Sentence("{a}: {cure}", a="x", cure="try again")])
        self.assertEqual((it, say(it)), ("is empty; x: try again", "为空；x: 请重试"))
        self.assertEqual(say(Sentence(" ({words})", words="try again")), "（请重试）")
        self.assertEqual(say(Sentence(" ({words})", words="x")), " (x)")

    def test_words_and_names(self) -> None:
        """A single word is somebody's name, unless it is said to be ours; braces of a name are no places."""
        say = language("zh").sentence
        self.assertEqual(say(Sentence("{reason}: {b}", reason="down", b=Sentence.word("down"))), "down: 不可用")
        self.assertEqual(Sentence.word("{x}"), "{x}")
        self.assertEqual(say(Sentence("{a}: {why}", a="{0}", why="is empty")), "{0}: 为空")
        self.assertEqual(say(Sentence("{mapping}: {why}", mapping="is empty", why="is empty")), "is empty: 为空")

    def test_behind(self) -> None:
        """Without its beginning it is what was joined to that."""
        self.assertIs(said_behind("192.0.2.1:80: ", self.IT), self.INNER)
        self.assertEqual(said_behind("a: ", "a: b"), "b")
        self.assertEqual(said_behind("x", self.IT), self.IT)

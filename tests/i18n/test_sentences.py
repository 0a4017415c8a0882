"""Finished sentences in Chinese."""

from __future__ import annotations

import time

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.config.changes import list_line
from gotunnel.config.difference import ListChange
from gotunnel.i18n.language import language
from gotunnel.i18n.sentences import LONGEST, Sentences

MESSAGES = {
    "is empty": "为空",
    "write {{a: b}}": "请写 {{a: b}}",
    "{path}: there is no PEM certificate in it": "{path}：其中没有证书",
    "{value} is not {noun}": "{value} 不是{noun}",
    "a whole number": "整数",
    "port {port} is not allowed; allowed: {ports}": "端口 {port} 不被允许；允许 {ports}",
    "from {first} to {last}": "{last} 之前，{first} 之后",
    "this client may not stay: ": "它不能留下：",
    "it is revoked": "它已被吊销",
    "client": "客户端",
    " must be {rule}": " 必须是 {rule}",
    "{a}: {b}": "{a}：{b}",
    "not {count:d} times": "不是 {count:d} 次",
    "did you mean {near}? ": "是想写 {near} 吗？",
    "{hint}write one of these words": "{hint}请写其中一个词",
}


class SentenceTests(SynchronousTestCase):
    """What is found again, and what is left as it is."""

    def setUp(self) -> None:
        self.say = Sentences(MESSAGES).say

    def test_said(self) -> None:
        """Whole sentences, with fields, with braces, joined ones, and sentences in the places of fields."""
        for english, chinese in [
            ("is empty", "为空"),
            ("write {a: b}", "请写 {a: b}"),
            ("/x y: there is no PEM certificate in it", "/x y：其中没有证书"),
            ("3.5 is not a whole number", "3.5 不是整数"),
            ("is empty; write {a: b}", "为空；请写 {a: b}"),
            ("127.0.0.1:80: it is revoked", "127.0.0.1:80: 它已被吊销"),
            (" (it is revoked)", "（它已被吊销）"),
            ("from a to b", "b 之前，a 之后"),
            ("this client may not stay: it is revoked", "它不能留下：它已被吊销"),
            ("hello.v must be 2", "hello.v 必须是 2"),
            ("not 7 times", "不是 7 次"),
            ("write one of these words", "请写其中一个词"),
            ("did you mean info? write one of these words", "是想写 info 吗？请写其中一个词"),
        ]:
            self.assertEqual(self.say(english), chinese)

    def test_fields_side_by_side(self) -> None:
        """Of two fields with nothing between them the first has what is said, and the second what begins anew, if
        anything does."""
        say = Sentences({"client {c} is from {where}{how}{more}": "客户端 {c} 从 {where} 来{how}{more}"}).say
        for english, chinese in (
            ("client a is from 192.0.2.1:4", "客户端 a 从 192.0.2.1:4 来"),
            ("client a is from 192.0.2.1:4, again", "客户端 a 从 192.0.2.1:4 来, again"),
            ("client a is from 192.0.2.1:4, again (3 more)", "客户端 a 从 192.0.2.1:4 来, again (3 more)"),
        ):
            self.assertEqual(say(english), chinese)

    def test_code_in_front(self) -> None:
        """The more telling format wins: a code in front of a sentence does not make it another one."""
        self.assertEqual(
            self.say("acl_denied: port 1 is not allowed; allowed: 2"), "acl_denied: 端口 1 不被允许；允许 2"
        )

    def test_foreign(self) -> None:
        """What is none of ours stays to the letter: names, addresses, and what others say, in a sentence too."""
        for text in ("", "Connection to hell", "a: b", "a: b; c: d", " (x)", "{value} {", "client 7", "它是空的"):
            self.assertEqual(self.say(text), text)
        self.assertEqual(self.say("from client to is"), "is 之前，client 之后")

    def test_hostile(self) -> None:
        """What a peer makes up costs no time: it is long, or full of joints."""
        started = time.monotonic()
        for text in ("; " * 500, ": " * 510, "is not " * 140, "from to " * 120, "(" * LONGEST, "is empty" * 10_000):
            self.say(text)
        self.assertLess(time.monotonic() - started, 2)
        real = language("zh").sentence
        started = time.monotonic()
        for text in ("is not a; " * 100, "x: y is not " * 80, "the from to of " * 68, "(" * LONGEST):
            real(text)
        self.assertLess(time.monotonic() - started, 2)


class ChineseTests(SynchronousTestCase):
    """The catalogue at work on sentences that the program really puts together."""

    def test_composed(self) -> None:
        """Errors within errors."""
        say = language("zh").sentence
        for english, chinese in [
            ("cannot reach a.example:1: connection refused", "无法到达 a.example:1：连接被拒绝"),
            ("auth_failed: the client name or the token is wrong", "auth_failed: 客户端名字或令牌有误"),
            ("acl_denied: port 80 is not allowed; allowed: 1-2", "acl_denied: 端口 80 不被允许；允许的是：1-2"),
            ("another mapping is called client", "另一个映射也叫 client"),
            ("completed", "正常结束（completed）"),
            (" (3 more like this were not logged)", "（另有 3 条类似的未记录）"),
            ("its certificate has expired: renew it", "它的证书已过期：请续期"),
        ]:
            self.assertEqual(say(english), chinese)


class ListTests(SynchronousTestCase):
    """The line of a reload that is joined of words."""

    def test_said(self) -> None:
        """What `config.changes` makes is said in Chinese, with the names and numbers that it has."""
        say = language("zh").sentence
        change = ListChange(("a", "b added"), ("9000",), ("web, 2",), ("x",), ("y",))
        line = list_line("mappings", change, {"web, 2": 1, "y": 2, "9000": 3})
        parts = (
            "新增 a, b added", "未变 web, 2（保留的流 1）", "有变化 x", "重新打开 y（保留的流 2）",
            "移除 9000（正在排空 3）",
        )  # fmt: skip
        self.assertEqual(say(line), f"映射：{'，'.join(parts)}")
        self.assertEqual(say(list_line("forwards", ListChange(removed=("a",)), {"a": 1}, drains=False)),
                         "正向转发：移除 a（保留的流 1）")  # fmt: skip
        self.assertEqual(say(list_line("clients", ListChange(added=tuple("abcdefghij")))), "客户端：新增 10")
        for other in ("mappings: nothing of ours", "mappings: ", "routes: +1 added"):
            self.assertEqual(say(other), other)

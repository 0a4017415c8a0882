"""`gotunnel client` and `gotunnel join` in Chinese; what is for programs, and what is to be copied, stays as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from click.testing import Result
from rich.cells import cell_len
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.cli import join
from gotunnel.cli.clientlist import STATES, TITLES, Row, as_table
from gotunnel.cli.main import main
from gotunnel.errors import Sentence
from gotunnel.i18n.language import language
from gotunnel.logs import level, set_level
from tests.cli.runner import Runner

ZH = language("zh")
TOKEN = "c122c389f83d7543115721971c499abec8e9b36c9673b506cef611478c040c9b"
NAMES = re.compile(
    r"`[^`]*`|/\S+|edge(?:-\d)?|--[a-z-]+|server\.\w+|HOST:PORT|gotunnel(?:-client)?(?: check)?|unset GOTUNNEL_TOKEN|"
    r"worker-\*|mappings（"
)


class SpokenTestCase(SynchronousTestCase):
    """Runs commands in Chinese."""

    def setUp(self) -> None:
        """Make a folder; `join` sets the level of the log, of this whole process."""
        self.addCleanup(set_level, level())
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()

    def run_it(self, *words: str, lang: str = "zh", said: str = "") -> Result:
        """Run one, and see that it succeeds."""
        env = {"GOTUNNEL_LANG": lang, "GOTUNNEL_TOKEN": None}
        done = Runner().invoke(main, words, env=env, input=said, prog_name="gotunnel")
        self.assertEqual(done.exit_code, 0, done.output)
        return done

    def assert_chinese(self, text: str) -> None:
        """See to it that each line is Chinese but for names and commands."""
        self.assertRegex(text, "[\u4e00-\u9fff]")
        for line in text.splitlines():
            self.assertIsNone(re.search("[A-Za-z]{3,}", NAMES.sub("", line)), line)


class ClientTests(SpokenTestCase):
    """`gotunnel client`."""

    def call(self, *words: str, lang: str = "zh", **keys: str) -> Result:
        """Run it for a server."""
        config = self.folder / "server.yaml"
        config.write_text(json.dumps({"server": {"addr": "192.0.2.7:17001", **keys}}))
        return self.run_it("client", words[0], "-c", str(config), "--state", str(self.folder), *words[1:], lang=lang)

    def test_changes(self) -> None:
        """What is said of tokens is Chinese; a token stands alone on standard output."""
        done = self.call("add", "edge")
        self.assertRegex(done.stdout, "^[0-9a-f]{64}\n$")
        self.assertIn("这个令牌在吊销之前一直有效；不会再次显示。", done.stderr)
        said = done.stderr
        for words in ("rotate edge", "rotate edge --drop-old", "rotate edge --at-once", "rotate edge --ttl 1h",
                      "revoke edge", "revoke edge --forget"):  # fmt: skip
            said += self.call(*words.split(), token=TOKEN).stderr
        self.assertIn("旧令牌在新令牌第一次使用之前仍然有效。", said)
        self.assertIn("现在持有共用的 server.token 令牌的任何人都能成为 edge。", said)
        self.assert_chinese(said)
        facts = json.loads(self.call("add", "edge-2", "--json").stdout)
        self.assertEqual(list(facts), ["name", "token", "one_time", "expires", "join", "file"])

    def test_own_name(self) -> None:
        """What the command is called is no word to translate, where it says what is wrong."""
        config = self.folder / "server.yaml"
        config.write_text(json.dumps({"server": {"addr": "192.0.2.7:17001"}}))
        words = ["client", "add", "-c", str(config), "--state", str(self.folder), "bad name"]
        done = Runner().invoke(main, words, env={"GOTUNNEL_LANG": "zh", "GOTUNNEL_TOKEN": None})
        self.assertEqual(done.exit_code, 2)
        self.assertRegex(done.stderr, r"^gotunnel client: NAME: 'bad name' 不是客户端的名字")

    def test_line_to_paste(self) -> None:
        """The line of --print-join is the same in either language, and what is said of it is not."""
        for addr in ("127.0.0.1:17001", "192.0.2.7:17001"):
            zh, en = (self.call("add", f"edge-{number}", "--print-join", lang=lang, addr=addr)
                      for number, lang in enumerate(("zh", "en")))  # fmt: skip
            self.assertRegex(zh.stdout, rf"^printf %s '[0-9a-f]+' \| gotunnel join {addr} --name edge-0\n$")
            self.assertEqual(re.sub("'[0-9a-f]+'", "", zh.stdout).replace("edge-0", "edge-1"),
                             re.sub("'[0-9a-f]+'", "", en.stdout))  # fmt: skip
            self.assert_chinese(zh.stderr)
            self.assertIsNone(re.search("[\u4e00-\u9fff]", en.stderr))
            (self.folder / "clients.json").unlink()
        self.assertIn("请把这一行粘贴到另一台机器上", zh.stderr)

    def test_list(self) -> None:
        """The table is Chinese, its columns begin below one another by cells, and names stay what they are."""
        self.assertIn("还没有客户端", self.call("list").stderr)
        self.call("add", "edge", "--ttl", "1h", "--node", "worker-*")
        lines = self.call("list").stdout.splitlines()
        at = [cell_len(lines[0][: lines[0].index(title)]) for title in map(ZH.sentence, TITLES)]
        for cell in ("有效（到 ", "任意", "无", "worker-*"):
            self.assertIn(cell_len(lines[1][: lines[1].index(cell)]), at, cell)
        self.assertEqual(json.loads(self.call("list", "--json").stdout)[0]["state"], "active")
        row = Row("any", "active", [1], None, [], [], [], 1, None, None, None, "", own_limits={"mappings": 9})
        head, line = as_table([row], ZH)
        self.assertEqual(cell_len(head[: head.index("限额")]), cell_len(line[: line.index("9 个映射")]))
        for state in STATES:
            for join_token, until in ((None, None), ("valid", None), ("valid", "2027"), ("expired", None)):
                source = Sentence("the configuration")
                row = Row("any", state, [1], None, [], [], [], 1, join_token, until, "2030", source)
                (_, line) = as_table([row], ZH)
                self.assert_chinese(line.replace("any", "", 1))
                self.assertEqual(line[:3], "any")


class JoinTests(SpokenTestCase):
    """`gotunnel join`."""

    def join(self, *words: str) -> str:
        """Join a server that lets anybody in; return what is said."""

        def connected(config: object, store: Callable[[str], None], way: str) -> bool:
            store(TOKEN[::-1])
            return True

        self.patch(join, "_connect", connected)
        for changed in ("set_level", "set_log_language", "begin_logging"):
            self.patch(join, changed, lambda *_: None)
        output = str(self.folder / "config.yaml")
        where = ("join", "192.0.2.7", "--name", "edge", "--output", output)
        return self.run_it(*where, *words, said=TOKEN).stdout

    def test_said(self) -> None:
        """What it has done and what is next; commands begin in one column of cells, and are to be copied."""
        said = self.join()
        self.assert_chinese(said.replace("192.0.2.7:17000", ""))
        self.assertIn("本机现在是 192.0.2.7 的客户端 edge", said)
        config = self.folder / "config.yaml"
        steps = [line for line in said.splitlines() if re.match(r"  \d\. ", line)]
        self.assertEqual([line.partition(" g")[2] for line in steps[1:]],
                         [f"otunnel check {config}", f"otunnel-client --config {config}"])  # fmt: skip
        self.assertEqual({cell_len(line[: line.index(what)]) for line, what in zip(steps, ("编辑", "gotu", "gotu"),
                                                                                   strict=True)}, {29})  # fmt: skip
        self.assertIn("从前的配置现在是", self.join("--force", "--ports", "8000"))
        self.assert_chinese(self.join("--renew"))

    def test_for_programs(self) -> None:
        """--json stays English."""
        self.assertEqual(json.loads(self.join("--json"))["name"], "edge")

"""Commands that ask a running process, in Chinese; what is for programs stays English."""

from __future__ import annotations

import json
import re
from io import StringIO
from typing import Any

from click.testing import Result
from rich.cells import cell_len
from rich.console import Console, RenderableType
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.cli.main import main
from gotunnel.cli.running import asking, doing, past, pasttable, status, tables
from gotunnel.cli.running.words import STATES, bytes_of, seconds_of, since
from gotunnel.i18n.language import language
from tests.cli.runner import Runner

ZH = language("zh")
LEGS = {"idle": 1, "busy": 2, "requested": 0, "limit": None}
STATUS: dict[str, Any] = {
    "socket": "/run/x.sock", "ready": False, "pending": 1, "legs": LEGS,
    "role": {
        "role": "server", "name": "[::]:17000", "draining": False, "age": 93_784.0, "version": "1.2", "pid": 7,
        "log_level": "info", "descriptors": {"used": 9, "limit": 1024},
    },
    "counters": {"live": 2, "opened": 40, "up": 2048, "down": 3 << 20},
    "findings": [{"check": "control port", "ok": False, "reason": "not accepting: see the log (file descriptors?)"}],
    "sessions": [{
        "name": "worker-1", "state": "away", "address": "192.0.2.1:5", "age": 61.0, "round_trip": 0.0123,
        "pong_age": 2.5, "mappings": 2, "streams": 1, "pending": 1, "legs": LEGS, "reason": "not connected",
    }],
    "mappings": [
        {
            "name": name, "kind": kind, "client": "worker-1", "server": None, "state": state, "address": "0.0.0.0:80",
            "target": None, "streams": 1, "ended": 2, "up": 1, "down": 1500, "reason": why,
            "age": 75.0 if why else None,
        }
        for name, kind, state, why in (("web", "mapping", "refused", "port 80 is not allowed; allowed: 1-2"),
                                       ("数据库", "forward", "open", ""))
    ],
    "streams": [{
        "conn": "c0ffee-1", "client": "worker-1", "mapping": "web", "visitor": "198.51.100.2:9", "state": "dialling",
        "age": 3.0, "up": 1, "down": 2,
    }],
    "events": [{"time": 1e9, "level": "warn", "text": "configuration read again: nothing has changed"}],
}  # fmt: skip
USAGE = {
    "role": "client", "name": "edge", "since": 1e9, "until": 1e9 + 7200, "step": 3600, "by": "mapping", "more": False,
    "usage": [
        {"time": 10 ** 9 + number * 3600, "mapping": "数据库", "client": "edge", "up": 10, "down": 20, "streams": 3,
         "failures": 1, "peak": 2}
        for number in range(2)
    ],
}  # fmt: skip
NAMES = re.compile(r"gotunnel|worker-1|c0ffee|pid|info|web\b|edge|KiB|MiB|client|log-level|mapping on|mapping\b|revoke")


class FakeProcess:
    """What a process answers, and what it was asked."""

    def __init__(self, answers: dict[str, dict[str, Any]], lang: str) -> None:
        self.path = "/run/x.sock"
        self.answers = answers
        self.lang = lang

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """Ask."""
        return self.answers[path]

    post = get


class PictureTests(SynchronousTestCase):
    """The tables."""

    def shown(self, picture: RenderableType, width: int) -> list[str]:
        """Return the lines."""
        stream = StringIO()
        Console(file=stream, width=width).print(picture)
        return stream.getvalue().splitlines()

    def assert_chinese(self, lines: list[str]) -> None:
        """See to it that no English is left but names, units of bytes and numbers."""
        for line in lines:
            self.assertIsNone(re.search("[A-Za-z]{3,}", NAMES.sub("", line)), line)

    def test_status(self) -> None:
        """All of it is Chinese, on wide terminals and on narrow ones, which no line overflows; columns stand below
        their titles by the cells that characters take."""
        for width in (200, 80, 50):
            lines = self.shown(tables.picture(STATUS, rates=(1.0, 2.0), said=ZH), width)
            self.assert_chinese(lines)
            self.assertLessEqual(max(map(cell_len, lines)), width)
        lines = self.shown(tables.picture(STATUS, said=ZH), 200)
        self.assertIn("已运行 1 天 2 小时，版本 1.2", lines[0])
        (top,) = (number for number, line in enumerate(lines) if "映射" in line and "地址" in line)
        head, _, first, second = lines[top : top + 4]
        for title, what in (("状态", "被拒绝"), ("地址", "0.0.0.0:80"), ("原因", "端口 80 不被允许")):
            self.assertEqual(cell_len(head[: head.index(title)]), cell_len(first[: first.index(what)]), title)
        self.assertEqual(cell_len(head[: head.index("地址")]), cell_len(second[: second.index("0.0.0.0")]))

    def test_english(self) -> None:
        """Without a language all of it is English."""
        text = "\n".join(self.shown(tables.picture(STATUS), 200))
        self.assertIsNone(re.search("[\u4e00-\u9fff]", text.replace("数据库", "")))
        self.assertIn("up 1 d 2 h, version 1.2, pid 7, log level info", text)
        self.assertIn("ROUND TRIP", text)

    def test_usage(self) -> None:
        """So is what was carried."""
        for told in (USAGE, {**USAGE, "step": 0, "by": "total"}, {**USAGE, "usage": []}):
            for width in (200, 60):
                lines = self.shown(pasttable.picture(told, ZH), width)
                self.assert_chinese(lines)
                self.assertLessEqual(max(map(cell_len, lines)), width)

    def test_words(self) -> None:
        """Each state has a word, and each figure its unit."""
        for state in STATES:
            self.assertRegex(ZH.sentence(state), "[\u4e00-\u9fff]", state)
        figures = (since(59), since(3600), since(7260), seconds_of(0.0021), seconds_of(2.04))
        said = [ZH.sentence(each) for each in figures]
        self.assertEqual(said, ["59 秒", "1 小时", "2 小时 1 分钟", "2.1 毫秒", "2.0 秒"])
        self.assertEqual((since(None), seconds_of(None), bytes_of(2048)), ("", "", "2 KiB"))


class CommandTests(SynchronousTestCase):
    """The commands."""

    def run_it(self, answers: dict[str, dict[str, Any]], *words: str) -> tuple[Result, list[str]]:
        """Run one in Chinese; return what came of it, and in which language a process was asked."""
        asked: list[str] = []

        def found(where: object, env: object = None, lang: str | None = None) -> list[FakeProcess]:
            asked.append("zh" if lang is None else lang)
            return [FakeProcess(answers, asked[-1])]

        for module in (doing, past, status):
            self.patch(module, "found", found)
        return Runner().invoke(main, words, env={"GOTUNNEL_LANG": "zh"}), asked

    def test_for_programs(self) -> None:
        """--json and --csv ask for English, and print names of columns as they are."""
        for words in (("status", "--json"), ("usage", "--json"), ("usage", "--csv")):
            done, asked = self.run_it({"/v1/status": STATUS, "/v1/usage": USAGE}, *words)
            self.assertEqual((done.exit_code, asked), (0, ["en"]), done.output)
            self.assertIn("role,time,client" if "--csv" in words else '"role"', done.output)
        done, asked = self.run_it({"/v1/status": STATUS}, "status")
        self.assertEqual((asked, "控制端口：没有在接受连接" in done.output), (["zh"], True), done.output)

    def test_watched_in_a_pipe(self) -> None:
        """Without a terminal, each picture of --watch is as wide, and so as complete, as that of a single look."""

        def interrupted(seconds: float) -> None:
            raise KeyboardInterrupt

        self.patch(status.time, "sleep", interrupted)
        once, _ = self.run_it({"/v1/status": STATUS}, "status")
        watched, _ = self.run_it({"/v1/status": STATUS}, "status", "--watch")
        titles = [line for line in once.output.splitlines() if "状态" in line]
        self.assertEqual((len(titles), watched.exit_code), (3, 0), watched.output)
        for line in titles:
            self.assertIn(line, watched.output.splitlines())

    def test_said(self) -> None:
        """What is done is said in Chinese."""
        over = {"over": True, "failed": False, "cut": 0, "live": 2, "joined": False, "left": 9}
        for answers, words, expected in [
            ({"/v1/status": STATUS, "/v1/kick": {"cut": 1}}, "kick worker-1",
             "客户端 worker-1 已断开，连同 1 位访客；要阻止它回来：gotunnel client revoke worker-1"),
            ({"/v1/kick": {}}, "kick --stream c0ffee-1", "访客 c0ffee-1 已重置"),
            ({"/v1/mapping": {"mapping": "web", "client": "edge"}}, "mapping on web", "客户端 edge 的映射 web 已打开"),
            ({"/v1/mapping": {"mapping": "web", "client": "edge"}}, "mapping off web",
             "客户端 edge 的映射 web 已关闭：不再接受新访客，直到 `gotunnel mapping on` 或那个进程重启"),
            ({"/v1/log-level": {"level": "debug", "before": "info"}}, "log-level debug",
             "/run/x.sock: debug（原为 info）"),
            ({"/v1/reload": {"applied": True, "lines": ["nothing has changed"]}}, "reload", "没有变化"),
            ({"/v1/drain": over}, "drain --timeout 2", "正在排空：在场 2 位访客，还有 2 秒收尾"),
            ({"/v1/drain": over}, "drain", "排空完成：没有访客被切断"),
            ({"/v1/drain": {**over, "joined": True}}, "drain", "这个进程先前已排空过"),
            ({"/v1/drain": {**over, "cut": 3}}, "drain", "访客被切断，因为时间已到：3"),
            ({"/readyz": {"ready": False, "findings": STATUS["findings"]}}, "status --ready",
             "控制端口：没有在接受连接"),
        ]:  # fmt: skip
            done, _ = self.run_it(answers, *words.split())
            self.assertIn(expected, done.output)
            self.assertEqual(done.exit_code, 1 if "--ready" in words or "3" in expected[-1] else 0)

    def test_plugins(self) -> None:
        """The list of plugins is Chinese but for names and examples, and English as JSON."""
        done, _ = self.run_it({}, "plugins")
        options = [line for line in done.output.splitlines() if line.startswith("    ") and "来自" not in line]
        self.assertGreater(len(options), 30)
        for line in options:
            self.assertRegex(line, "[\u4e00-\u9fff]")
            self.assertIsNone(re.search(r"\b[a-z]{2,} [a-z]{2,} [a-z]{2,}", line), line)
        done, _ = self.run_it({}, "plugins", "--json")
        self.assertEqual(json.loads(done.output)["plugins"][0]["options"][0]["takes"][:8], "networks")

    def test_asked_in(self) -> None:
        """A process is asked in the language of the environment, by a parameter that English does without."""
        lines: list[str] = []

        class Connection:
            def __init__(self, path: str) -> None:
                pass

            def request(self, method: str, path: str, body: object, headers: object) -> None:
                lines.append(path)
                raise OSError(2, "No such file or directory")

            def close(self) -> None:
                pass

        self.patch(asking, "_Connection", Connection)
        process = asking.Process("/run/x.sock")
        error = self.assertRaises(asking.Unasked, process.get, "/readyz", client="caf\udce9")
        self.assertIn("No such file", str(error))
        self.assertEqual(lines.pop(), "/readyz?client=caf%3F")
        for env in ({"GOTUNNEL_LANG": "zh"}, {"GOTUNNEL_LANG": "en"}):
            (process,) = asking.found(asking.Where(socket="/run/x"), env)
            error = self.assertRaises(asking.Unasked, process.get, "/readyz", client="a")
            self.assertRaises(asking.Unasked, process.post, "/v1/drain")
        self.assertEqual(lines, ["/readyz?client=a&lang=zh", "/v1/drain?lang=zh", "/readyz?client=a", "/v1/drain"])
        self.assertEqual(ZH.sentence(str(error)), "/run/x: 没有那个文件或目录")

"""What a client with a token says of itself, in a real server's log, as text and as JSON: one line for each event, no
character that does something, and no line that is long."""

from __future__ import annotations

import json
import re

from gotunnel.wire.frames import encode_frame
from gotunnel.wire.messages import MappingRequest, NeedLegs, Register, RegisterResp
from tests.e2e.harness import Program, TunnelTestCase
from tests.hostile import raw
from tests.hostile.test_rogue_server import EVIL

LONG = EVIL + "A" * 60_000
LINE = 1000
"""Characters of a line: far more than an honest one takes, far fewer than what was sent."""


class WordsTests(TunnelTestCase):
    """Every field that a client can fill, and that is text."""

    def talk(self, server: Program) -> None:
        """Say evil things in every place, each in a session of its own."""
        name = "x" * 128
        for payload in (
            {"type": "mapping_state", "name": name, "state": "down", "reason": LONG},
            {"type": "mapping_state", "name": name, "state": "down", "reason": EVIL[:100]},
            {"type": "legs_failed", "plain": False, "count": 1, "reason": EVIL[:100]},
            {"type": "error", "code": "internal", "reason": EVIL[:100]},
            {"type": "legs_failed", "plain": False, "count": 1, "reason": LONG},
            {"type": "error", "code": "internal", "reason": LONG},
            {"type": EVIL, "n": 1},
            {"type": "x" * 60_000},
            {"type": "unregister", "id": 1, "names": [EVIL]},
            {"type": "register", "id": 7, "mappings": [{"name": "m", "remote_port": 1025, "protocol": EVIL}]},
            {"type": "register", "id": 7, "mappings": [{"name": "m", "remote_port": 1025, "protocol": "p" * 64}]},
            {"type": "register", "id": 7, "mappings": [{"name": "m", "remote_port": 1025, "bind": "%" * 253}]},
            {EVIL: 1, "type": "ping", "n": 1},
            {"type": "ping", "n": 1, EVIL: {EVIL: EVIL}},
        ):
            session = raw.login(self.host, self.control, "edge", self.token, tls=True)
            session.control.say(Register(1, (MappingRequest(name, self.port(), self.host),), True))
            while isinstance(answer := session.control.hear(), NeedLegs):
                pass
            self.assertIsInstance(answer, RegisterResp)
            session.control.send(encode_frame(json.dumps(payload, ensure_ascii=False).encode()))
            # A second frame that is broken, so that the first one has been read when the connection ends.
            session.control.send(b"\0\0\0\0")
            while session.control.payload() is not None:
                pass
            session.control.close()
        for hello in (EVIL, "x" * 65, "x" * 3000, "", 7, None, [EVIL]):
            stranger = raw.connect(self.host, self.control, tls=True)
            stranger.send(encode_frame(json.dumps({"type": "hello", "v": 2, "min_v": 2, "client": hello}).encode()))
            stranger.rest()
            stranger.close()
        server.wait_for("hello.client")
        self.assertEqual(server.count(re.escape(r"[2J")) > 3, True, "the evil words are there, escaped")

    def check(self, text: str) -> None:
        """All of it is lines as they should be."""
        self.assertGreater(len(text.splitlines()), 20)
        for line in text.split("\n")[:-1]:
            self.assertTrue(line.isprintable(), line)
            self.assertLess(len(line), LINE * (4 if line.startswith("{") else 1), line)

    def test_text(self) -> None:
        """Each line begins with a time."""
        server = self.server(log_level="debug")
        self.talk(server)
        self.check(server.said)
        for line in server.said.splitlines():
            self.assertTrue(re.match(r"\d{4}-\d\d-\d\dT\S+ \[(debug|info|warn|error)\](?:\[\d+\])? ", line), line)
        self.assertNotRegex(server.said, r"(?m)^\S+ \[info\] admin ok")

    def test_json(self) -> None:
        """Each line is one object, in ASCII, and its message is one line."""
        section = {"addr": f"{self.host}:{self.control}", "token": self.token, "log_level": "debug"}
        path = self.write("server.yaml", {"server": section})
        server = self.role("server", ["--config", path, "--log-format", "json"])
        server.wait_for("server listening for clients on")
        self.talk(server)
        self.check(server.said)
        for line in server.said.splitlines():
            self.assertTrue(line.isascii())
            self.assertTrue(json.loads(line)["message"].isprintable(), line)

"""A hostile server and an honest client, as processes: nothing is dialled or looked up that the client's own file does
not name, and nothing that the server says makes the client grow, spin or fill its log."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections import Counter

from gotunnel.wire.messages import NeedLegs, Ping, Pong
from tests.e2e.harness import Program, TunnelTestCase
from tests.e2e.peers import Service, echo
from tests.hostile.rogue import RogueServer

OPENS = int(os.environ.get("GOTUNNEL_TEST_OPENS", "20000"))
"""OPENs of the flood; a million take some minutes."""
GROWTH = 4 * 1024 * 1024
"""Bytes that a client may hold more after a flood than before."""

WATCHED = """
import sys
def note(event, arguments, out=open({file!r}, "a", buffering=1)):
    if event == "socket.connect":
        print("connect", arguments[1], file=out)
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        print("look up", arguments[0], file=out)
    elif event == "open" and "w" in str(arguments[1]):
        print("write", arguments[0], file=out)
sys.addaudithook(note)
from gotunnel.cli.roles import client
client(prog_name="gotunnel-client")
"""
"""A client that writes down whatever it connects to, looks up, or opens for writing, as the interpreter sees it."""


class RogueTests(TunnelTestCase):
    """The client's file names one target, and one that may travel outside TLS."""

    def begin(self, **keys: object) -> tuple[RogueServer, Program]:
        """Start both, and let the client in."""
        self.service = Service(self, echo)
        self.forbidden = Service(self, echo)
        self.audit = self.folder / "audit"
        server = RogueServer(self)
        section = {
            "name": "edge",
            "token": self.token,
            "server_addr": f"{self.host}:{self.control}",
            "drain_timeout": 0,
            "mappings": [
                {"name": "web", "local": self.service.address, "remote": 8080},
                {"name": "open", "local": self.service.address, "remote": 8081, "encrypt": False},
            ],
            **keys,
        }
        path = self.write("client.yaml", {"client": section})
        client = self.launch("client", [sys.executable, "-c", WATCHED.format(file=str(self.audit)), "--config", path])
        server.begin()
        # The client's own look at the target of a mapping with encrypt: false, which no server has asked for.
        client.wait_for("mapping open has encrypt: false, but its target")
        self.audit.write_text("")
        self.service.connections.clear()
        return server, client

    def done(self) -> Counter[str]:
        """Return what the client did, by kind and place; the server's own address left out."""
        own = (f"connect ('{self.host}', {self.control})", f"look up {self.host}")
        return Counter(line for line in self.audit.read_text().splitlines() if line not in own)

    def test_dials_nothing_else(self) -> None:
        """Whatever an OPEN names, only what the file names is dialled; everything else is refused or closes the leg."""
        server, client = self.begin()
        bad = self.forbidden.address
        leg, taken = server.leg(), []
        for opening in (
            {"mapping": "ghost"},
            {"mapping": bad},
            {"mapping": "WEB"},
            {"mapping": "web "},
            {"mapping": " web"},
            {"mapping": "web/../open2"},
            {"mapping": "__class__"},
            {"mapping": "*"},
            {"mapping": "w\u0435b"},  # a Cyrillic letter
            {"mapping": "web\u200b"},
            {"mapping": "web\0"},
            {"mapping": "ｗｅｂ"},
            {"mapping": ""},
            {"mapping": None},
            {"mapping": ["web"]},
            {"mapping": 0},
            {"mapping": "x" * 129},
            {"dial": bad},
            {"dial": self.service.address},
            {"dial": "unix:/run/x.sock"},
            {"dial": "localhost:22"},
            {"mapping": "web", "dial": bad},
            {"mapping": "web", "client": "edge"},
            {"mapping": "web", "client": "other"},
            {"mapping": "web", "src": ""},
            {"mapping": "web", "conn": "c" * 65},
            {"mapping": "web", "n": 1},
            {"mapping": "web", "n": 1, "mac": "0" * 63},
            {},
        ):
            how = server.opens(leg, json.dumps({"conn": "c-1", "src": "192.0.2.1:1", **opening}).encode())
            taken.append((opening, how))
            if how == "closed":
                leg = server.leg()
        self.assertNotIn("opened", [how for _, how in taken])
        refused = [opening for opening, how in taken if how != "closed"]
        self.assertEqual(len(refused), 8, refused)
        self.assertEqual(self.done(), Counter(), "dialled, looked up or written")
        self.assertEqual((self.service.connections, self.forbidden.connections), ([], []))
        # What the file names is dialled, once, by this very watch.
        self.assertEqual(server.opens(leg, b'{"conn":"c-2","src":"192.0.2.1:1","mapping":"web"}'), "opened")
        self.assertEqual(list(self.done()), [f"connect ('127.0.0.1', {self.service.port})"])
        self.assertTrue(all(line.isprintable() for line in client.said.splitlines()))

    def test_flood_of_opens(self) -> None:
        """Many OPENs of what is not there: nothing is dialled, memory and log stay as they are, the client goes on."""
        server, client = self.begin()
        leg = server.leg()

        def body(number: int) -> bytes:
            return b'{"conn":"c-%d","src":"192.0.2.1:%d","mapping":"ghost-%d"}' % (number, number % 65536, number)

        server.flood(leg, OPENS // 10, body)
        before, lines = client.rss(), client.count("\n")
        began = time.monotonic()
        server.flood(leg, OPENS, body)
        grown, took = client.rss() - before, time.monotonic() - began
        print(f"\n{OPENS} OPENs: {grown / 1024:.0f} KiB grown, {took / OPENS * 1e6:.0f} µs each")
        self.assertLess(grown, GROWTH)
        self.assertLess(client.count("\n") - lines, 20 + took)
        self.assertEqual(self.done(), Counter())
        self.assertEqual(server.opens(leg, b'{"conn":"c-2","src":"192.0.2.1:1","mapping":"web"}'), "opened")

    def test_flood_of_requests(self) -> None:
        """A server that promises two thousand million legs and asks for all of them gets as many as the client has
        descriptors for, a few at a time; what it cannot have is told, not remembered."""
        server, client = self.begin()
        server.leg()
        before = client.rss()
        ask = NeedLegs(False, 4096)
        for _ in range(50):
            for _ in range(100):
                server.control.say(ask)
            server.control.say(Ping(7))
            while not isinstance(server.control.hear(), Pong):
                pass
        grown = client.rss() - before
        descriptors = len(os.listdir(f"/proc/{client.pid}/fd"))
        print(f"\n{50 * 100 * 4096} legs asked for: {grown / 1024:.0f} KiB grown, {descriptors} descriptors")
        self.assertLess(grown, GROWTH)
        self.assertLess(descriptors, 100)

    def test_strings_of_the_server(self) -> None:
        """Whatever a server says of itself or of a visitor, a line of the client's log is one line of harmless
        characters, of bounded length."""
        server, client = self.begin()
        for count, payload in enumerate(
            (
                {"type": "error", "code": "internal", "reason": EVIL},
                {"type": "error", "code": "internal", "reason": "x" * 60000},
                {"type": EVIL},
                {"type": "register_resp", "id": EVIL, "status": "ok"},
                {"type": "drain", "deadline_ms": EVIL},
            )
        ):
            if count:
                server.begin()
            server.control.send(_framed(json.dumps(payload).encode()))
            server.control.rest()
            server.control.close()
            client.wait_for("connection to the server .* lost", count + 1)
        for line in client.said.splitlines():
            self.assertTrue(line.isprintable(), line)
            self.assertLess(len(line), 1000)
            self.assertTrue(re.match(r"\d{4}-\d\d-\d\dT", line), line)


EVIL = (
    "x\r\n2026-01-01T00:00:00.000+00:00 [info] admin ok\x1b[2J\x1b]0;title\x07\u202egnp.exe\u2028\u2029\x00\x9b31m"
    "\U0001f600"
)


def _framed(payload: bytes) -> bytes:
    return len(payload).to_bytes(4, "big") + payload

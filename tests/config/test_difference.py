"""What a changed file changes: which keys, what becomes of each, and with which values a role goes on."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from gotunnel.config.changes import key_lines, list_line
from gotunnel.config.difference import Difference, ListChange, difference
from gotunnel.config.effects import EFFECTS, FOLLOWERS, NAMED, Effect, effect_of
from gotunnel.config.model import ClientConfig, ServerConfig
from gotunnel.config.tree import walk
from tests.config.files import OTHER_TOKEN, TOKEN, FileTestCase

MAPPINGS = [{"local": port, "remote": port, "name": str(port)} for port in (6443, 9000)]


def client(**keys: Any) -> ClientConfig:
    """Return a client's section."""
    values = {"name": "edge", "token": TOKEN, "server_addr": "tunnel.example.com", "mappings": MAPPINGS, **keys}
    return ClientConfig.model_validate(values)


def server(**keys: Any) -> ServerConfig:
    """Return a server's section."""
    return ServerConfig.model_validate({"token": TOKEN, **keys})


def changed(**keys: Any) -> Difference[ClientConfig]:
    """Return what these keys change in a client's section."""
    return difference("client", client(), client(**keys))


class TableTests(FileTestCase):
    """The table of effects."""

    def test_every_key(self) -> None:
        """Each key of the models has been thought of, and no other stands there."""
        keys = {".".join(path) for path, _ in walk()}
        self.assertEqual(keys - EFFECTS.keys(), set(), "add them to gotunnel/config/effects.py")
        self.assertEqual(EFFECTS.keys() - keys, set())
        self.assertEqual((NAMED | FOLLOWERS.keys()) - keys, set())

    def test_unknown(self) -> None:
        """A key that nobody has thought of needs a restart, and the old value stays."""
        self.assertIs(effect_of("server.colour"), Effect.RESTART)
        with patch.dict(EFFECTS):
            del EFFECTS["server.leg_wait"]
            found = difference("server", server(), server(leg_wait=3, drain_timeout=1))
        self.assertEqual((found.restart, found.config.leg_wait), (("server.leg_wait",), 10.0))
        self.assertEqual((list(found.keys), found.config.drain_timeout), (["server.drain_timeout"], 1.0))

    def test_unknown_in_a_list(self) -> None:
        """Such a key of one mapping keeps all of them as they are."""
        with patch.dict(EFFECTS):
            del EFFECTS["client.mappings.clients"]
            found = changed(mappings=[{**MAPPINGS[0], "clients": ["a"]}])
        self.assertEqual((found.restart, dict(found.keys)), (("client.mappings",), {}))
        self.assertEqual(found.config, client())


class DifferenceTests(FileTestCase):
    """Two sections."""

    def test_nothing(self) -> None:
        """The same file, read again."""
        found = changed()
        self.assertFalse(found)
        self.assertEqual((found.config, dict(found.lists)), (client(), {}))

    def test_groups(self) -> None:
        """Keys within groups are told apart, and a group that comes is one change."""
        found = difference("server", server(), server(limits={"streams": 5, "legs": 9}, tls={"client_ca": None}))
        self.assertEqual(dict(found.keys), {"server.limits.streams": Effect.NOW, "server.limits.legs": Effect.NOW})
        self.assertTrue(found.touches("server.limits") and found.touches("server.limits.legs"))
        self.assertFalse(found.touches("server.limit") or found.touches("server.limits.visitors"))
        came = difference("server", server(), server(egress={"listen": "unix:/run/a.sock"}))
        self.assertEqual(list(came.keys), ["server.egress"])

    def test_restart_within_a_group(self) -> None:
        """What goes with a key that waits waits too; the rest of the file does not."""
        found = difference(
            "server", server(), server(addr="127.0.0.1:1", tls={"mode": "off", "cert": None}, log_level="debug")
        )
        self.assertEqual(set(found.restart), {"server.addr", "server.tls.mode"})
        self.assertEqual(found.config, server(log_level="debug"))
        moved = changed(tls={"mode": "off"}, token=OTHER_TOKEN, name="other", drain_timeout=3)
        self.assertEqual(set(moved.restart), {"client.tls.mode", "client.token", "client.name"})
        self.assertEqual(moved.config, client(drain_timeout=3))

    def test_restart_with_another_way(self) -> None:
        """Where a client goes by another transport, the server that it goes to waits for that: by the old one it would
        knock at a web server's door. Alone it does not wait."""
        for transport in ("websocket", {"plugin": "websocket", "proxy": "p:3128"}):
            moved = changed(transport=transport, server_addr="web.example:443", drain_timeout=3)
            self.assertEqual(set(moved.restart), {"client.transport", "client.server_addr"})
            self.assertEqual(moved.config, client(drain_timeout=3))
        before = client(transport="websocket")
        for transport in ("tcp", {"plugin": "websocket", "path": "/other"}):
            after = client(transport=transport, server_addr="web.example:443")
            moved = difference("client", before, after)
            self.assertEqual(moved.config, before)
        moved = difference("client", before, client(transport="websocket", server_addr="web.example:443"))
        self.assertEqual(moved.restart, ())

    def test_other_version(self) -> None:
        """Nothing of a file for another version of the protocol is taken up: its rules are others."""
        found = changed(v1=True, mappings=MAPPINGS[:1], drain_timeout=3)
        self.assertEqual(found.config, client())
        self.assertEqual(set(found.restart), {"client.v1", "client.mappings", "client.drain_timeout"})

    def test_abbreviations(self) -> None:
        """They are told by what they stand for."""
        found = changed(local_ports=[10251], health_check_interval=5)
        self.assertEqual(list(found.keys), ["client.mappings"])
        self.assertEqual(found.lists["client.mappings"].added, ("127.0.0.1:10251",))
        self.assertEqual(found.lists["client.mappings"].changed, ("6443", "9000"))

    def test_mappings(self) -> None:
        """Each has its own fate, in whatever order they stand."""
        old = client(mappings=[{"name": name, "local": 1, "remote": port} for port, name in enumerate("abcd", 10)])
        new = client(
            mappings=[
                {"name": "e", "local": 1, "remote": 20},
                {"name": "d", "local": 1, "remote": 30},
                {"name": "c", "local": 2, "remote": 12},
                {"name": "b", "local": 1, "remote": 11},
            ]
        )
        self.assertEqual(
            difference("client", old, new).lists["client.mappings"], ListChange(("e",), ("a",), ("b",), ("c",), ("d",))
        )
        self.assertFalse(difference("client", old, client(mappings=old.mappings[::-1])).lists["client.mappings"])

    def test_forwards_and_clients(self) -> None:
        """The other lists with names."""
        forward = {"name": "f", "listen": 1, "dial": 2}
        found = difference("client", client(forwards=[forward]), client(forwards=[{**forward, "dial": 3}]))
        self.assertEqual(found.lists["client.forwards"], ListChange(changed=("f",)))
        one, two = {"name": "one", "token": TOKEN[::-1]}, {"name": "two", "token": OTHER_TOKEN}
        peers = difference("server", server(clients=[one]), server(clients=[{**one, "disabled": True}, two]))
        self.assertEqual(peers.lists["server.clients"], ListChange(("two",), (), (), ("one",)))


class WordsTests(FileTestCase):
    """What is said of it."""

    def test_list(self) -> None:
        """Who came, who stayed with how many, who went with how many."""
        change = ListChange(("10251",), ("9000",), ("6443",))
        self.assertEqual(
            list_line("mappings", change, {"6443": 3, "9000": 1, "else": 7}),
            "mappings: +10251 added, 6443 unchanged with 3 streams kept, 9000 removed, draining 1",
        )
        self.assertEqual(list_line("mappings", ListChange(removed=("a",))), "mappings: a removed")
        self.assertEqual(
            list_line("mappings", ListChange(changed=("a", "b"), anew=("c",)), {"a": 1, "c": 2}),
            "mappings: a, b changed with 1 stream kept, c opened anew with 2 streams kept",
        )

    def test_many(self) -> None:
        """Of many names their number; of a name that is none only what can be printed."""
        many = tuple(f"m{number}" for number in range(441))
        self.assertEqual(
            list_line("mappings", ListChange(("a\nb",), (), many), {"m7": 2}),
            "mappings: +a\\nb added, 441 unchanged with 2 streams kept",
        )

    def test_keys(self) -> None:
        """A line for each time at which they hold; no value, for some are secrets."""
        keys = {"name": "new", "drain_timeout": 3, "relay": "portable", "mappings": MAPPINGS[1:]}
        lines = key_lines(changed(token=OTHER_TOKEN, **keys))
        self.assertEqual(
            lines,
            [
                "changed: client.drain_timeout",
                "changed, for connections from now on: client.token",
                "changed, and opened anew: client.name",
                "client.relay changed: needs a restart",
            ],
        )
        self.assertNotIn(OTHER_TOKEN, str(lines))

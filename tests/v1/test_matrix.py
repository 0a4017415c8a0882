"""Every message of version 1 in every state, at our server and at our client: what comes of it is a table that a person
can read, and nothing is passed over in silence."""

from __future__ import annotations

import sys
from typing import Any

from gotunnel.config.model import MappingConfig
from gotunnel.wire.v1 import _TYPES
from tests.v1.peers import V1_TOKEN, GoClient, Wire
from tests.v1.stage import ServerTestCase
from tests.v1.test_client import ClientTestCase

FIELDS: dict[str, dict[str, Any]] = {
    "register": {"local_port": 8080, "protocol": "tcp", "token": V1_TOKEN, "name": "go-edge"},
    "data_channel": {"local_port": 8080, "token": V1_TOKEN, "name": "go-edge"},
    "register_resp": {"status": "ok"},
    "ping": {"time": 1},
    "pong": {"time": 1},
    "open_data_channel": {"local_port": 8080},
    "offline_port": {},
    "online_port": {},
    "hello": {"v": 2},
    "nonsense": {},
}
SAYS = {"register", "data_channel", "ping", "offline_port", "online_port"}
"""What a Go client says."""


def show(title: str, table: dict[str, dict[str, str]]) -> None:
    """Print a table: a line for each message, a column for each state."""
    states = list(next(iter(table.values())))
    lines = [f"{title:18}" + "".join(f"{state:16}" for state in states)]
    lines += [f"{kind:18}" + "".join(f"{row[state]:16}" for state in states) for kind, row in table.items()]
    sys.stdout.write("\n".join(["", *lines, ""]))


class ServerMatrixTests(ServerTestCase):
    """What a client may say to our server."""

    async def test_matrix(self) -> None:
        """First, registered, and with a visitor who waits: each message is answered, obeyed, or refused with reason."""
        self.assertEqual(set(_TYPES), set(FIELDS) - {"hello", "nonsense"})
        server = await self.v1_server()
        table: dict[str, dict[str, str]] = {kind: {} for kind in FIELDS}
        for kind in FIELDS:
            for state in ("first", "registered", "asked for a leg"):
                table[kind][state] = await self.outcome(server, kind, state)
        show("to our server", table)
        for kind, row in table.items():
            first = {"register": "ok", "data_channel": "fail"}.get(kind, "error")
            later = {"ping": "pong", "offline_port": "obeyed", "online_port": "obeyed"}.get(kind, "fail")
            self.assertEqual(row, {"first": first, "registered": later, "asked for a leg": later}, kind)

    async def outcome(self, server: Any, kind: str, state: str) -> str:
        """Say one thing in one state, and return what came of it."""
        port = self.free_port()
        client = GoClient(self, server.address.port, port, auto=False)
        if state == "first":
            wire: Wire = await self.wire(server.address.port)
        else:
            await client.register()
            wire = client.control
        if state == "asked for a leg":
            await self.connect(port)
            await self.asked(client)
        before = len(wire.heard)
        skip = len(self.lines())
        ports = {"remote_port": port} if kind in ("register", "data_channel") else {"port": port}
        wire.say(type=kind, **{**FIELDS[kind], **ports})
        if kind not in SAYS or kind in ("register", "data_channel") or state == "first" or kind == "ping":
            await self.until(lambda: len(wire.heard) > before, f"an answer to {kind} when {state}")
            answer = wire.heard[before]
            word = str(answer.get("status", answer["type"]))
            if word in ("fail", "error"):
                await self.until(lambda: wire.ended, f"the close after {kind} when {state}")
                self.assertTrue(answer["reason"])
            return word
        if kind == "offline_port":
            await self.said(f"mapping port {port} of client go-edge (version 1) is down", skip=skip)
        wire.say(type="ping", time=7)
        await self.until(lambda: wire.heard[-1:] == [{"type": "pong", "time": 7}], "it lives")
        return "obeyed"


class ClientMatrixTests(ClientTestCase):
    """What a server may say to our client."""

    async def test_matrix(self) -> None:
        """In answer to register, registered, and in answer to data_channel: each message is taken, or ends that
        connection with a line in the log."""
        self.quick()
        self.debug()
        table: dict[str, dict[str, str]] = {kind: {} for kind in FIELDS}
        target, _ = await self.target()
        for kind in FIELDS:
            for state in ("register", "registered", "data_channel"):
                table[kind][state] = await self.outcome(kind, state, target)
        show("to our client", table)
        for kind, row in table.items():
            taken = {"register_resp": ("taken", "ended", "taken"), "open_data_channel": ("ended", "taken", "ended"),
                     "pong": ("ended", "taken", "ended")}.get(kind, ("ended",) * 3)  # fmt: skip
            self.assertEqual(tuple(row.values()), taken, kind)

    async def outcome(self, kind: str, state: str, target: int) -> str:
        """Say one thing in one state, and return what came of it."""
        server = await self.go_server()
        said: list[Wire] = []
        fields = {**FIELDS[kind], "local_port": target, "remote_port": 1, "port": 1}

        def heard(wire: Wire, message: dict[str, Any]) -> None:
            first = message["type"] in ("register", "data_channel")
            if message["type"] == state and not said:
                said.append(wire)
                wire.raw = state == "data_channel"
                wire.say(type=kind, **fields)
                if wire.raw:
                    wire.transport.write(b"x")  # to the target, which sends it back
            elif first and not said:
                wire.say(type="register_resp", status="ok")
                if state == "registered":
                    said.append(wire)
                    wire.say(type=kind, **fields)
                    server.open(wire, target)
                elif state == "data_channel":
                    server.open(wire, target)

        server._message = heard  # type: ignore[method-assign]
        mapping: MappingConfig = self.published(target)
        client = self.v1_client(server.port, mapping, heartbeat_interval=20)
        skip = len(self.lines())
        await self.until(lambda: said, f"{state}")
        words = {"register": "not connected", "registered": "lost: protocol error", "data_channel": "not be brought"}
        outcome: list[str] = []

        def taken() -> bool:
            if state == "register":
                return any("mapping web open" in line for line in self.lines()[skip:])
            if state == "registered":  # what follows is read, and obeyed with a leg
                return said[0].ended is None and len(server.wires) > 1
            return any("reached" in line for line in self.lines()[skip:]) and said[0].received == b"x"

        def settled() -> bool:
            if any(words[state] in line for line in self.lines()[skip:]):
                outcome.append("ended")
            elif taken():
                outcome.append("taken")
            return bool(outcome)

        await self.until(settled, f"what comes of {kind} when {state}")
        await self.stop(client)
        await server.stop()
        return outcome[0]

"""Which client may have which port, at each moment when that is asked: one table, with no unexpected cell.

It stands in trial's log, in a file of the test's folder, and in the failure if there is one."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from twisted.python import log

from gotunnel.config.model import AdminConfig, ServerConfig
from gotunnel.core.identities import Identities
from gotunnel.server.credentials import Credentials
from gotunnel.wire.messages import Error, MappingRequest, MappingState, RegisterResp
from tests.server.world import OTHER_TOKEN, TOKEN, Client, ServerTestCase

SHARED = "5d0e9b7c13f84a62b5c8e1f0972d3a64"
OWNER = "e47b20c96f1d4385aa90c3d7518be62f"

CONTROL, ADMIN, OTHERS = 17000, 17080, 30050

PORTS = {
    "allowed": 30000, "other's": OTHERS, "22": 22, "control": CONTROL, "admin": ADMIN, "0": 0, "-1": -1,
    "65536": 65536, "1023": 1023, "1024": 1024,
}  # fmt: skip

TOKENS = {"worker": TOKEN, "guest": SHARED, "root": OTHER_TOKEN, "out": "91c5f7e2043b4d8e8a6f0b3c7d2e5a18"}
"""A client with few ports, one of the shared token, one with all ports, and one that is disabled by then."""

BREACH = "protocol_error"


def row(register: str, online: str, takeover: str, reload: str, visit: str) -> dict[str, str]:
    """Return what is to come of one port at each moment."""
    return {"register": register, "online": online, "takeover": takeover, "reload": reload, "visit": visit}


GRANTED = row("ok", "open", "ok", "open", "served")
DENIED = row("acl_denied", "closed", "acl_denied", "closed", "denied")
RESERVED = row("reserved", "closed", "reserved", "closed", "denied")
TAKEN = row("port_in_use", "closed", "port_in_use", "closed", "none")
IMPOSSIBLE = row(BREACH, "closed", BREACH, "closed", "none")
# A port that it was given by chance under other rights; asked anew, it gets one that it may have.
ANY_BUT_NOT_THAT = row("ok", "closed", "acl_denied", "closed", "denied")
SHUT_OUT = row("auth_failed", "closed", "auth_failed", "closed", "denied")
SHUT_OUT_NEVER_IN = row("auth_failed", "closed", "auth_failed", "closed", "none")

ALL = dict.fromkeys(PORTS, GRANTED) | {
    "other's": TAKEN, "control": RESERVED, "admin": RESERVED, "-1": IMPOSSIBLE, "65536": IMPOSSIBLE,
}  # fmt: skip

EXPECTED: dict[str, dict[str, dict[str, str]]] = {
    "worker": ALL | {"22": DENIED, "1023": DENIED, "1024": DENIED, "0": ANY_BUT_NOT_THAT},
    "guest": ALL | {"22": DENIED, "1023": DENIED, "0": ANY_BUT_NOT_THAT},
    "root": ALL,
    "out": dict.fromkeys(PORTS, SHUT_OUT) | dict.fromkeys(("other's", "-1", "65536"), SHUT_OUT_NEVER_IN),
}

RIGHTS: dict[str, Any] = {
    "worker": {"allow_ports": [10250, "30000-30100"]},
    "root": {"allow_ports": ["1-65535"]},
    "out": {"allow_ports": ["1-65535"], "disabled": True},
}


class Cell:
    """One client, one port, one moment. Before it the client has rights that allow what it tries, as far as anything
    can be allowed; at the moment it has those of RIGHTS, which nobody has announced."""

    def __init__(self, case: ServerTestCase, name: str, port: int) -> None:
        self.it = case.world(token=SHARED, admin=AdminConfig(addr=ADMIN))
        self.name = name
        self.port = port
        self._case = case
        self._ids = iter(range(1, 100))
        # 0: the only free one is one that few may have later.
        ports = [500] if port == 0 else ["1-65535"]
        self._identities = self.identities(ports, {each: {"allow_ports": ports} for each in RIGHTS}, set())
        self.now_as(self._identities)
        self._owner = self.it.login("owner", token=OWNER)
        self._others = self._owner.publish(OTHERS, "kubelet")

    def identities(self, shared: list[Any], own: dict[str, Any], reserved: Collection[int]) -> Identities:
        """Return a table with these rights."""
        clients = [{"name": name, "token": TOKENS[name], **rights} for name, rights in own.items()]
        clients.append({"name": "owner", "token": OWNER, "allow_ports": [OTHERS]})
        config = ServerConfig.model_validate({"token": SHARED, "allow_ports": shared, "clients": clients})
        return Credentials(config, frozenset(reserved)).table()

    def now_as(self, table: Identities) -> None:
        """These are the identities, without a word to anybody."""
        self.it.hub.identities = table
        self.it.hub.keyring.use(table)

    @property
    def final(self) -> Identities:
        """The identities of the moment."""
        return self.identities(["1024-65535"], RIGHTS, self.it.hub.reserved)

    def login(self) -> Client | None:
        """Connect; None if it is not let in."""
        transport = self.it.connect()
        handshake, answers = self.it.prove(transport, self.name, token=TOKENS[self.name])
        if transport.gone:
            return None
        return Client(self.it, transport, handshake.receive_auth_ok(answers[0]))

    def asks(self, client: Client | None) -> str:
        """Ask for the port, in JSON of one's own since our frames hold no impossible number; return the answer."""
        if client is None:
            return "auth_failed"
        mapping = {"name": "web", "remote_port": self.port, "protocol": "tcp", "encrypt": True}
        client.heard()
        client.transport.say_json(json.dumps({"type": "register", "id": next(self._ids), "mappings": [mapping]}))
        self.turn()
        for message in client.heard():
            if isinstance(message, RegisterResp):
                (result,) = message.results
                if result.status == "ok":
                    rights = self.it.hub.rights_of(self.name)
                    self._case.assertIn(result.remote_port, rights.allow_ports)
                    self._case.assertNotIn(result.remote_port, rights.reserved)
                return result.code or result.status
            if isinstance(message, Error):
                return message.code
        return "silence"

    def held(self) -> Client:
        """Connect and ask under the rights of before."""
        client = self.login()
        assert client is not None
        self.asks(client)
        return client

    def is_open(self) -> str:
        """Whether it has an open port; whatever it does, the other's port is the other's."""
        self._case.assertTrue(self._others.open and not self._owner.transport.gone)
        own = [port for port in self.it.relay.ports if port is not self._others]
        return "open" if own else "closed"

    def turn(self) -> None:
        """Let ports close."""
        for _ in range(4):
            self.it.clock.advance(0)

    # The moments.

    def register(self) -> str:
        """It asks for the port."""
        self.now_as(self.final)
        answer = self.asks(self.login())
        self._case.assertEqual(self.is_open(), "open" if answer == "ok" else "closed")
        return answer

    def online(self) -> str:
        """It says that a target is up again: its own, and the other's."""
        client = self.held()
        for name in ("web", "kubelet"):
            client.say(MappingState(name, "down"))
        self.turn()
        self._case.assertEqual(self.is_open(), "closed")
        self.now_as(self.final)
        for name in ("web", "kubelet", "never"):
            client.say(MappingState(name, "up"))
        self.turn()
        return self.is_open()

    def takeover(self) -> str:
        """A session takes the place of the one that had the port, and asks for it."""
        self.held()
        self.now_as(self.final)
        answer = self.asks(self.login())
        if answer not in ("auth_failed", BREACH):
            self._case.assertEqual(self.is_open(), "open" if answer == "ok" else "closed")
        return answer

    def reload(self) -> str:
        """The rights change, and that takes effect."""
        client = self.held()
        before = self.is_open()
        client.heard()
        self.it.hub.identities_changed(self.final)
        self.turn()
        after = self.is_open()
        if before != after:
            self._case.assertEqual([type(message) for message in client.heard()], [Error])
        return after

    def visit(self) -> str:
        """Somebody comes to the port, and waits for a leg."""
        client = self.held()
        own = [port for port in self.it.relay.ports if port is not self._others]
        if not own:
            return "none"
        visitor = own[0].visit()
        self.now_as(self.final)
        self.it.relay.legs.clear()
        client.bring_leg()
        opened = sum(leg.opens for leg in self.it.relay.legs)
        self._case.assertNotEqual(bool(opened), visitor.aborted)
        return "served" if opened else "denied"


MOMENTS: dict[str, Callable[[Cell], str]] = {
    "register": Cell.register,
    "online": Cell.online,
    "takeover": Cell.takeover,
    "reload": Cell.reload,
    "visit": Cell.visit,
}


class MatrixTests(ServerTestCase):
    """Each client and each port at each moment."""

    def test_matrix(self) -> None:
        """The table is as expected, cell by cell."""
        lines, unexpected = [f"{'client':8}{'port':10}" + "".join(f"{moment:16}" for moment in MOMENTS)], 0
        for name, expected in EXPECTED.items():
            for label, port in PORTS.items():
                cells = []
                for moment, act in MOMENTS.items():
                    found = act(Cell(self, name, port))
                    wanted = expected[label][moment]
                    unexpected += found != wanted
                    cells.append(f"{found if found == wanted else f'{found} != {wanted}':16}")
                lines.append(f"{name:8}{label:10}" + "".join(cells).rstrip())
        table = "\n".join([*lines, f"{len(EXPECTED) * len(PORTS) * len(MOMENTS)} cells, {unexpected} unexpected"])
        Path(self.mktemp()).write_text(table + "\n", "utf-8")
        log.msg(table)
        self.assertEqual(unexpected, 0, "\n" + table)

    def test_every_bind(self) -> None:
        """A port that is allowed on one address is not on another, in none of its spellings."""
        for bind, code in (
            ("127.0.0.1", None), ("localhost", None), ("::ffff:127.0.0.1", None),
            ("0.0.0.0", "acl_denied"), ("::", "acl_denied"), ("127.0.0.2", "acl_denied"),
            ("::1", "acl_denied"), (None, "acl_denied"), ("example.com", "bad_request"), ("127.1", "bad_request"),
        ):  # fmt: skip
            clients = [{"name": "edge", "token": TOKEN, "allow_ports": [8080], "allow_bind": ["127.0.0.1"]}]
            world = self.world(token=None, clients=clients)
            (result,) = world.login().register(MappingRequest("web", 8080, bind))
            self.assertEqual(result.code, code, bind)

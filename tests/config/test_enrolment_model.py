"""A client, its operator and a server's file through any sequence of joins, interruptions and rotations: the client is
never locked out, and what was given up opens nothing."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretBytes
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.config.identitychange import (
    Change,
    ClientRefused,
    added,
    at_once,
    begun,
    dropped,
    enrolled,
    revoked,
    rotated,
    used,
)
from gotunnel.config.identityfile import FileIdentity, JoinConfig
from gotunnel.config.model import ServerConfig
from gotunnel.core.identities import Identities
from gotunnel.server.credentials import Credentials
from tests.doubles import keys_of
from tests.wire.strategies import PROPERTY

NOW = 1000.0
CREDENTIALS = Credentials(ServerConfig.model_validate({}), frozenset())


class World:
    """Keys stand for tokens. The operator has what commands printed: a line to paste, or a token to bring."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self.line: bytes | None = self.new()
        self.brought: bytes | None = None
        self.stored: bytes | None = None
        self.running: bytes | None = None
        """What the client has connected with last."""
        self.dead: set[bytes] = set()
        """Keys that must never open anything again."""
        self.file: tuple[FileIdentity, ...] = ()
        self.edit(added(FileIdentity.model_validate({"name": "edge", "keys": (), "join": self.join(self.line)})))

    def new(self) -> bytes:
        """Return a key that there was not before."""
        return next(self._numbers).to_bytes(32, "big")

    def join(self, key: bytes) -> JoinConfig:
        """Return the file's entry of a one-time token."""
        return JoinConfig(key=SecretBytes(key), expires=NOW + 60)

    def edit(self, change: Change) -> bool:
        """Change the file, if that fits."""
        try:
            self.file = change(self.file)
        except ClientRefused:
            return False
        return True

    def table(self) -> Identities:
        """Return what the server knows, as it reads the file."""
        return CREDENTIALS.table(self.file)

    def opens(self, key: bytes | None) -> bool:
        """Say whether a key lets the client in."""
        return key is not None and key in keys_of(self.table(), "edge", NOW)

    # What may happen.

    def paste(self, until: int) -> None:
        """Somebody pastes the line: the exchange gets as far as `until` (1: sent, 2: stored, 3: confirmed)."""
        line, lasting = self.line, self.new()
        if line is None or not self.opens(line) or not self.table().joins("edge", line):
            return
        assert self.edit(begun("edge", line, lasting))
        if until >= 2:
            self.stored = lasting
            assert self.opens(lasting), "the client has it, and the server may hear nothing more"
        if until >= 3:
            assert self.edit(enrolled("edge", lasting))
            self.dead.add(line)

    def run(self) -> None:
        """The client connects with what it has stored."""
        if self.opens(self.stored):
            assert self.stored is not None
            self.running = self.stored
            if self.table().supersedes("edge", self.stored):
                assert self.edit(used("edge", self.stored))
            else:
                before = self.file
                assert self.edit(used("edge", self.stored))
                assert self.file == before, "the server would not have asked for this"

    def rotate(self) -> None:
        """The operator makes a lasting token."""
        key = self.new()
        if self.edit(rotated("edge", key, None, NOW)):
            self.brought = key

    def rotate_line(self) -> None:
        """The operator makes another line; the one before serves nobody."""
        key = self.new()
        if self.edit(rotated("edge", None, self.join(key), NOW)):
            if self.line is not None:
                self.dead.add(self.line)
            self.line = key

    def leak(self) -> None:
        """Somebody has seen a token: all that there was is dead."""
        key, before = self.new(), self.held()
        if self.edit(at_once("edge", key, None, NOW)):
            self.brought = key
            self.dead |= before

    def bring(self) -> None:
        """The operator puts the token into the client's file."""
        if self.brought is not None:
            self.stored, self.brought = self.brought, None

    def drop(self) -> None:
        """The operator ends a rotation, once the token is where it belongs."""
        if self.brought is None:
            self.edit(dropped("edge"))

    def held(self) -> set[bytes]:
        """Return all keys that client and operator have."""
        return {key for key in (self.line, self.brought, self.stored) if key is not None}


ACTS: dict[str, Callable[[World], None]] = {
    "sent": lambda world: world.paste(1),
    "stored": lambda world: world.paste(2),
    "joined": lambda world: world.paste(3),
    "run": World.run,
    "rotate": World.rotate,
    "rotate_line": World.rotate_line,
    "leak": World.leak,
    "bring": World.bring,
    "drop": World.drop,
}


class ModelTests(SynchronousTestCase):
    """Any order of these."""

    @PROPERTY
    @given(st.lists(st.sampled_from(sorted(ACTS)), max_size=25))
    def test_never_locked_out(self, acts: list[str]) -> None:
        """Something that the client or its operator holds opens the door; nothing that was given up does. What a client
        runs with stays valid until it runs with another one."""
        world = World()
        for number, act in enumerate(acts):
            connected = world.opens(world.running)
            ACTS[act](world)
            said = acts[: number + 1]
            if connected and act not in ("leak", "drop"):
                self.assertTrue(world.opens(world.running), said)
            self.assertTrue(any(world.opens(key) for key in world.held()), said)
            self.assertEqual([key for key in world.dead if world.opens(key)], [], said)
            (client,) = world.file
            self.assertLessEqual(len(client.keys), 2)

    @PROPERTY
    @given(st.lists(st.sampled_from(sorted(ACTS)), max_size=12))
    def test_revoked_is_revoked(self, acts: list[str]) -> None:
        """Whatever comes before and after, but for `add`, a revoked client has no key, old or new."""
        world = World()
        for act in acts:
            ACTS[act](world)
        before = world.held()
        world.edit(revoked("edge"))
        for act in acts:
            ACTS[act](world)
        self.assertEqual([key for key in before | world.held() if world.opens(key)], [])

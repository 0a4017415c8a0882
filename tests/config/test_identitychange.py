"""What may happen to a client of the clients file, and what may not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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
    forgotten,
    revoked,
    rotated,
    used,
)
from gotunnel.config.identityfile import FileIdentity, JoinConfig, load_clients, written
from gotunnel.errors import ConfigError

OLD, NEW, ONCE, NEXT = (bytes([number]) * 32 for number in range(4))


def join(following: bytes | None = None, expires: float | None = 1e9) -> JoinConfig:
    """Return a one-time token's entry."""
    after = None if following is None else SecretBytes(following)
    return JoinConfig(key=SecretBytes(ONCE), expires=expires, next=after)


def client(*keys: bytes, name: str = "edge", **more: Any) -> FileIdentity:
    """Return a client with rights of its own, which no change may touch."""
    values = {"name": name, "keys": tuple(map(SecretBytes, keys)), "allow_ports": [10250], **more}
    return FileIdentity.model_validate(values)


OTHER = client(OLD, NEW, name="other", join=join(NEXT))


class ChangeTests(SynchronousTestCase):
    """Each with another client beside, which stays as it is."""

    def after(self, change: Change, before: FileIdentity | None) -> FileIdentity | None:
        """Return what a change makes of a client; `other` is not touched."""
        clients = change((OTHER,) if before is None else (before, OTHER))
        self.assertIn(OTHER, clients)
        return next((each for each in clients if each.name == "edge"), None)

    def becomes(self, change: Change, before: FileIdentity, *keys: bytes, join: JoinConfig | None = None) -> None:
        """The client has these keys then, and its rights."""
        self.assertEqual(self.after(change, before), client(*keys, join=join))

    def refused(self, change: Change, *befores: FileIdentity | None) -> None:
        """It does not fit any of these."""
        for before in befores:
            error = self.assertRaises(ClientRefused, self.after, change, before)
            self.assertIn("edge", str(error))

    def test_add(self) -> None:
        """A new name, or one that is revoked; never one that somebody may hold a token of."""
        for before in (None, client()):
            self.assertEqual(self.after(added(client(NEW)), before), client(NEW))
        self.refused(added(client(NEW)), client(OLD), client(join=join()), client(OLD, disabled=True))

    def test_revoke(self) -> None:
        """No key of any kind is left, and no end after which it could be forgotten; the name and its rights are."""
        for before in (client(OLD, NEW, expires=1e9), client(join=join(NEXT)), client()):
            self.becomes(revoked("edge"), before)
        self.refused(revoked("edge"), None)

    def test_forget(self) -> None:
        """Nothing is left."""
        self.assertIsNone(self.after(forgotten("edge"), client(OLD)))
        self.refused(forgotten("edge"), None)

    def test_rotate(self) -> None:
        """A second key beside the first; no third one, and none for who is revoked."""
        self.becomes(rotated("edge", NEW, None, 5.0), client(OLD), OLD, NEW)
        self.becomes(rotated("edge", NEW, None, 5.0), client(join=join()), NEW)
        self.becomes(rotated("edge", None, join(), 5.0), client(OLD), OLD, join=join())
        self.becomes(rotated("edge", None, join(), 5.0), client(join=join(expires=5.0)), join=join())
        self.becomes(rotated("edge", None, join(), 5.0), client(join=join(NEXT, 5.0)), NEXT, join=join())
        self.becomes(rotated("edge", NEW, None, 5.0), client(join=join(NEXT)), NEXT, NEW)
        self.becomes(rotated("edge", NEW, None, 5.0), client(OLD, join=join(NEXT)), OLD, NEW)
        self.refused(rotated("edge", NEW, None, 5.0), None, client(), client(OLD, NEW))
        self.refused(rotated("edge", None, join(), 5.0), None, client(), client(OLD, NEW))

    def test_rotate_at_once(self) -> None:
        """Only the new one is left."""
        for before in (client(OLD), client(OLD, NEXT), client(OLD, join=join(NEXT))):
            self.becomes(at_once("edge", NEW, None, 5.0), before, NEW)
            self.becomes(at_once("edge", None, join(), 5.0), before, join=join())
        self.refused(at_once("edge", NEW, None, 5.0), None, client())

    def test_rotate_and_time(self) -> None:
        """A client whose time is over gets no token that would open nothing; a longer time comes with a new one."""
        for change in (rotated, at_once):
            old = () if change is at_once else (OLD,)
            self.refused(change("edge", NEW, None, 9.0), client(OLD, expires=9.0))
            self.refused(change("edge", None, join(), 9.0), client(OLD, expires=9.0))
            after = self.after(change("edge", NEW, None, 9.0, 20.0), client(OLD, expires=9.0))
            self.assertEqual(after, client(*old, NEW, expires=20.0))
            after = self.after(change("edge", NEW, None, 8.0), client(OLD, expires=9.0))
            self.assertEqual(after, client(*old, NEW, expires=9.0))

    def test_drop(self) -> None:
        """The older of two; the only one is not dropped by this."""
        self.becomes(dropped("edge"), client(OLD, NEW), NEW)
        self.refused(dropped("edge"), None, client(OLD), client(OLD, join=join()), client())
        error = self.assertRaises(ClientRefused, self.after, dropped("edge"), client(OLD, join=join()))
        self.assertIn("is for a join, which has not taken place", str(error))  # there is a second one

    def test_begin(self) -> None:
        """The lasting key is kept beside the one-time one, in place of one that was sent before."""
        self.becomes(begun("edge", ONCE, NEXT), client(join=join()), join=join(NEXT))
        self.becomes(begun("edge", ONCE, NEXT), client(OLD, join=join(NEW)), OLD, join=join(NEXT))
        self.refused(begun("edge", ONCE, NEXT), None, client(OLD), client(ONCE), client())
        self.refused(begun("edge", NEW, NEXT), client(join=join()))

    def test_enrolled(self) -> None:
        """The one-time key is gone. A lasting one that was there stays, since its client may run; at most one does."""
        self.becomes(enrolled("edge", NEXT), client(join=join(NEXT)), NEXT)
        self.becomes(enrolled("edge", NEXT), client(OLD, join=join(NEXT)), OLD, NEXT)
        self.refused(enrolled("edge", NEXT), None, client(), client(join=join()), client(join=join(NEW)), client(NEXT))

    def test_used(self) -> None:
        """The newest, once used, is alone; the use of another one changes nothing."""
        self.becomes(used("edge", NEW), client(OLD, NEW), NEW)
        self.becomes(used("edge", NEXT), client(OLD, join=join(NEXT)), NEXT)
        self.becomes(used("edge", OLD), client(OLD, NEW), OLD, NEW)
        self.becomes(used("edge", OLD), client(OLD), OLD)
        self.becomes(used("edge", OLD), client(OLD, join=join(NEXT)), OLD, join=join(NEXT))
        self.becomes(used("edge", ONCE), client(OLD, join=join(NEXT)), OLD, join=join(NEXT))
        self.becomes(used("edge", NEW), client(), *())


class FileTests(SynchronousTestCase):
    """What a change makes can be written, and read again as the same."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def load(self, content: bytes) -> tuple[FileIdentity, ...]:
        """Read a file with this content."""
        self.path.write_bytes(content)
        self.path.chmod(0o600)
        return load_clients(self.path)

    def test_round_trip(self) -> None:
        """Every kind of client."""
        clients = (
            OTHER,
            client(name="a"),
            client(OLD, name="b", expires=1e9, disabled=True),
            client(join=join(expires=None), name="c"),
        )
        self.assertEqual(self.load(written(clients)), clients)

    def test_bad_join(self) -> None:
        """A join that is not whole is refused, named by its place, and no key is quoted."""
        good = json.loads(written([client(join=join(NEXT))]))
        key = good["clients"][0]["join"]["key"]
        for field, value in (("key", "short"), ("key", None), ("next", key[:-2]), ("expires", "soon"), ("more", 1)):
            bad = json.loads(json.dumps(good))
            bad["clients"][0]["join"][field] = value
            error = self.assertRaises(ConfigError, self.load, json.dumps(bad).encode())
            self.assertIn(f"clients[0].join.{field}", str(error))
            self.assertNotIn(key[:-2], str(error))
        del good["clients"][0]["join"]["key"]
        self.assertRaises(ConfigError, self.load, json.dumps(good).encode())

"""The clients file: what is read from it, what is refused, and how it is changed."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import threading
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretBytes
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.config import identityedit
from gotunnel.config.identityedit import edit_clients
from gotunnel.config.identityfile import (
    CLIENTS_FILE,
    MAX_BYTES,
    FileIdentity,
    JoinConfig,
    load_clients,
    written,
)
from gotunnel.config.stamps import stamp
from gotunnel.errors import ConfigError
from tests.wire.strategies import PROPERTY

KEY = bytes(range(32))
TEXT = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
OTHER = b"\xff" * 32

KNOWN = ["name", "keys", "allow_ports", "allow_bind", "limits", "legs", "join", "key", "expires", "disabled", "zzz"]

ENTRY = {"name": "edge", "keys": [TEXT]}

FULL = FileIdentity(
    name="worker-1",
    keys=(KEY, OTHER),
    allow_ports=[10250, "30000-30100"],
    allow_bind=["10.0.0.1"],
    allow_dial=["10.0.0.5:6443"],
    limits={"mappings": 3, "pending": 6},
    disabled=True,
    expires=1_900_000_000,
    join=JoinConfig(key=OTHER, expires=1_800_000_000, next=KEY),
)


class FileTestCase(SynchronousTestCase):
    """A file in a folder of the test's own."""

    def setUp(self) -> None:
        """Make the folder."""
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.path = self.folder / CLIENTS_FILE

    def write(self, content: Any) -> Path:
        """Write JSON, text or bytes with mode 0600."""
        if isinstance(content, (dict, list)):
            content = json.dumps(content)
        self.path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.path.chmod(0o600)
        return self.path

    def clients(self, *entries: object) -> tuple[FileIdentity, ...]:
        """Load these entries."""
        return load_clients(self.write({"version": 1, "clients": list(entries)}))

    def refused(self, content: Any) -> list[str]:
        """Return what is wrong with a file, a line each, without its name; none holds a key."""
        error = self.assertRaises(ConfigError, load_clients, self.write(content))
        lines = str(error).splitlines()
        self.assertEqual(len(lines), len(error.problems))
        for line in lines:
            self.assertTrue(line.startswith(f"{self.path}:"), line)
            self.assertNotIn(TEXT, line)
        return [line.removeprefix(f"{self.path}:").strip() for line in lines]


class ReadTests(FileTestCase):
    """What a file may hold."""

    def test_least_and_most(self) -> None:
        """A name and keys are enough; everything that can be said is kept, in the very words of this page."""
        (client,) = self.clients(ENTRY)
        self.assertEqual(client, FileIdentity(name="edge", keys=(KEY,)))
        self.assertEqual(load_clients(self.write(written([FULL]))), (FULL,))
        self.assertEqual(
            json.loads(written([FULL, client])),
            {
                "version": 1,
                "clients": [
                    {
                        "name": "worker-1",
                        "keys": [TEXT, "__________________________________________8"],
                        "allow_ports": [10250, "30000-30100"],
                        "allow_bind": ["10.0.0.1"],
                        "allow_dial": ["10.0.0.5:6443"],
                        "limits": {"mappings": 3, "pending": 6},
                        "disabled": True,
                        "expires": 1_900_000_000.0,
                        "join": {
                            "key": "__________________________________________8",
                            "expires": 1_800_000_000.0,
                            "next": TEXT,
                        },
                    },
                    ENTRY,
                ],
            },
        )

    def test_revoked(self) -> None:
        """An entry without keys is kept: its name is taken."""
        (client,) = self.clients({"name": "gone", "keys": []})
        self.assertEqual(load_clients(self.write(written([client]))), (client,))

    def test_no_secret_in_repr(self) -> None:
        """No key prints."""
        for shown in (repr(FULL), str(FULL), repr(SecretBytes(KEY))):
            self.assertNotIn(TEXT, shown)
            self.assertNotIn(repr(KEY)[2:-1], shown)
            self.assertNotIn("\\xff\\xff", shown)


class RefusedTests(FileTestCase):
    """What a file may not hold. It is written by a program; whatever does not fit is refused, all at once."""

    def test_no_json(self) -> None:
        """Other text, other bytes, a file that is cut, doubled keys, numbers that are none."""
        good = json.dumps({"version": 1, "clients": [ENTRY]})
        for content in (
            "", " ", "clients: []", good[:-1], good + good, "\ufeff" + good, b"\xff\xfe", b"\0" * 9, "[" * 100_000,
            good.replace("1", "NaN", 1), good.replace("1", "Infinity", 1), good.replace("1", "9" * 5000, 1),
            good.replace('"version"', '"version": 1, "version"'), good.replace('"name"', '"name": "a", "name"'),
        ):  # fmt: skip
            self.assertEqual(len(self.refused(content)), 1, content[:60])

    def test_envelope(self) -> None:
        """Another version, other keys, another shape."""
        for content in (
            [], {}, {"clients": []}, {"version": 2, "clients": []}, {"version": True, "clients": []},
            {"version": 1}, {"version": 1, "clients": {}}, {"version": 1, "clients": [], "more": 1}, 1, None, "x",
        ):  # fmt: skip
            self.refused(json.dumps(content))
        self.assertIn("another version of gotunnel", self.refused({"version": 2, "clients": []})[0])

    def test_entries(self) -> None:
        """Each mistake with its place, all of them together."""
        entries = [
            "x",
            {},
            ENTRY | {"keys": [TEXT, TEXT, TEXT]},
            ENTRY | {"keys": TEXT},
            ENTRY | {"keys": [TEXT[:-1], TEXT + "A"]},
            ENTRY | {"keys": ["ä", None]},
            ENTRY | {"name": "a b"},
            ENTRY | {"name": "a", "token": "x"},
            ENTRY | {"name": "b", "allow_ports": [0], "limits": {"legs": 0}, "disabled": "maybe"},
            ENTRY | {"name": "c", "expires": -1},
            ENTRY | {"name": "d", "expires": 1e300},
            ENTRY | {"name": "e", "join": {}},
            ENTRY | {"name": "f", "join": {"key": TEXT, "more": 1}},
            ENTRY,
            ENTRY,
            ENTRY | {"name": "x\u001b[2J\n"},
        ]
        places = [line.partition(": ")[0] for line in self.refused({"version": 1, "clients": entries})]
        self.assertEqual(
            places,
            [
                "clients[0]", "clients[1].name", "clients[1].keys", "clients[2].keys", "clients[3].keys",
                "clients[4].keys[0]", "clients[4].keys[1]", "clients[5].keys[0]", "clients[5].keys[1]",
                "clients[6].name", "clients[7].token", "clients[8].allow_ports[0]",
                "clients[8].limits.legs", "clients[8].disabled", "clients[9].expires", "clients[10].expires",
                "clients[11].join.key", "clients[12].join.more", "clients[14].name", "clients[15].name",
            ],
        )  # fmt: skip

    def test_who_may_read(self) -> None:
        """A file that others can read is not taken: it opens the server. Neither is a folder, a pipe, or a large one;
        and no descriptor is left."""
        before = len(os.listdir("/proc/self/fd"))
        self.clients(ENTRY)
        for mode in (0o640, 0o604, 0o620, 0o602, 0o601, 0o644):
            self.path.chmod(mode)
            error = self.assertRaises(ConfigError, load_clients, self.path)
            self.assertIn(f"(mode {mode:04o}); chmod 600", str(error))
        self.path.unlink()
        self.assertIn("no such file", str(self.assertRaises(ConfigError, load_clients, self.path)))
        self.path.mkdir()
        self.assertIn("not a regular file", str(self.assertRaises(ConfigError, load_clients, self.path)))
        pipe = self.folder / "pipe"
        os.mkfifo(pipe, 0o600)
        self.assertIn("not a regular file", str(self.assertRaises(ConfigError, load_clients, pipe)))
        self.path.rmdir()
        self.assertIn("longer than", self.refused(b" " * (MAX_BYTES + 1))[0])
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_whose_it_is(self) -> None:
        """It belongs to this user or to root; root takes anybody's, since it changes it for the server."""
        self.clients(ENTRY)
        for user, owner in ((1000, 1000), (1000, 0), (1000, 1001), (0, 1001), (0, 0)):
            found = os.stat(self.path)
            status = os.stat_result((found[0], found[1], found[2], found[3], owner, *found[5:]))
            with mock.patch("os.fstat", return_value=status), mock.patch("os.geteuid", return_value=user):
                if (user, owner) != (1000, 1001):
                    load_clients(self.path)
                else:
                    error = self.assertRaises(ConfigError, load_clients, self.path)
                    self.assertIn("belongs to the user 1001; chown 1000", str(error))

    @PROPERTY
    @given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
    def test_any_bytes(self, content: bytes) -> None:
        """Whatever is in it, it is read or refused in lines."""
        self.folder.mkdir(exist_ok=True)
        try:
            load_clients(self.write(content))
        except ConfigError as error:
            self.assertTrue(str(error).isprintable() or "\n" in str(error))

    @PROPERTY
    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(TEXT),
            lambda inner: st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(KNOWN), inner),
            max_leaves=12,
        )
    )
    def test_any_entry(self, entry: object) -> None:
        """Whatever an entry is, it is read or refused, and what is read is written and read again the same."""
        self.folder.mkdir(exist_ok=True)
        try:
            clients = load_clients(self.write(json.dumps({"version": 1, "clients": [entry]})))
        except ConfigError:
            return
        self.assertEqual(load_clients(self.write(written(clients))), clients)


class EditTests(FileTestCase):
    """How it is changed."""

    def test_made(self) -> None:
        """A first change makes the file, for its owner alone; nothing else is left but the lock."""
        self.assertEqual(edit_clients(self.path, lambda clients: (*clients, FULL)), (FULL,))
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual(load_clients(self.path), (FULL,))
        self.assertEqual(sorted(os.listdir(self.folder)), [CLIENTS_FILE, f"{CLIENTS_FILE}.lock"])

    def test_umask(self) -> None:
        """A generous umask changes nothing of that."""
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        edit_clients(self.path, lambda clients: (FULL,))
        for name in os.listdir(self.folder):
            self.assertEqual(stat.S_IMODE((self.folder / name).stat().st_mode), 0o600, name)

    def test_no_change(self) -> None:
        """A change that changes nothing does not touch the file, so that no server reads it again."""
        edit_clients(self.path, lambda clients: (FULL,))
        before = stamp(self.path)
        edit_clients(self.path, lambda clients: clients)
        self.assertEqual(stamp(self.path), before)

    def test_refused_change(self) -> None:
        """What the change raises, and a file that cannot be read, leave it as it is and the lock free."""
        edit_clients(self.path, lambda clients: (FULL,))
        before = self.path.read_bytes()

        def fail(clients: object) -> tuple[FileIdentity, ...]:
            raise ZeroDivisionError

        self.assertRaises(ZeroDivisionError, edit_clients, self.path, fail)
        self.assertEqual(self.path.read_bytes(), before)
        self.write("{")
        self.assertRaises(ConfigError, edit_clients, self.path, lambda clients: ())
        self.assertEqual(self.path.read_text(), "{")
        self.write(before)
        edit_clients(self.path, lambda clients: (*clients, FileIdentity(name="b", keys=())), patience=0.0)

    def test_full_disk(self) -> None:
        """If the new file cannot be written whole, the old one stays, and nothing of the new one."""
        edit_clients(self.path, lambda clients: (FULL,))
        for name in ("fsync", "replace"):
            with mock.patch.object(os, name, side_effect=OSError(errno.ENOSPC, "No space left on device")):
                error = self.assertRaises(ConfigError, edit_clients, self.path, lambda clients: ())
            self.assertIn("cannot be written: no space left on device; make room on its disk", str(error))
            self.assertEqual(load_clients(self.path), (FULL,))
            self.assertEqual(len(os.listdir(self.folder)), 2)

    def test_one_at_a_time(self) -> None:
        """Twenty threads that add a client each lose none."""

        def add(number: int) -> None:
            edit_clients(self.path, lambda clients: (*clients, FileIdentity(name=f"c{number}", keys=())), patience=60)

        threads = [threading.Thread(target=add, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual({client.name for client in load_clients(self.path)}, {f"c{number}" for number in range(20)})

    def test_locked(self) -> None:
        """Who cannot have the lock in time says so, and changes nothing."""
        edit_clients(self.path, lambda clients: (FULL,))
        lock = os.open(f"{self.path}.lock", os.O_RDWR)
        self.addCleanup(os.close, lock)
        fcntl.flock(lock, fcntl.LOCK_EX)
        slept: list[float] = []
        self.patch(identityedit.time, "sleep", slept.append)
        clock = iter(range(100))
        self.patch(identityedit.time, "monotonic", lambda: float(next(clock)))
        error = self.assertRaises(ConfigError, edit_clients, self.path, lambda clients: (), patience=3)
        self.assertIn("another program has kept changing it for 3 s; try again", str(error))
        self.assertEqual((load_clients(self.path), len(slept)), ((FULL,), 2))

    def test_link(self) -> None:
        """A link to a file elsewhere stays one; the file elsewhere is changed."""
        real = self.folder / "real"
        real.mkdir()
        self.path.symlink_to(real / "all.json")
        edit_clients(self.path, lambda clients: (FULL,))
        self.assertTrue(self.path.is_symlink())
        self.assertEqual(load_clients(real / "all.json"), (FULL,))

    def test_not_writable(self) -> None:
        """A folder that is not there is one line."""
        error = self.assertRaises(ConfigError, edit_clients, self.folder / "none" / "x.json", lambda clients: (FULL,))
        self.assertIn("cannot be written: no such file or directory; make its folder, owned by the user", str(error))

    def test_owner(self) -> None:
        """Root gives what it writes to the owner of the file that was there, or of the folder."""
        given_to: list[tuple[int, int]] = []
        edit_clients(self.path, lambda clients: (FULL,))
        self.patch(os, "geteuid", lambda: 0)
        self.patch(os, "fchown", lambda descriptor, user, group: given_to.append((user, group)))
        edit_clients(self.path, lambda clients: ())
        owner = self.path.stat()
        self.assertEqual(set(given_to), {(owner.st_uid, owner.st_gid)})
        self.assertEqual(len(given_to), 2)

    def test_owner_of_a_linked_lock(self) -> None:
        """Root gives away no file that the owner of the folder has put in the place of the lock: not one with another
        name elsewhere, and, should that name be taken away meanwhile, none that has something in it."""
        given_to: list[int] = []
        lock = self.path.with_name(f"{self.path.name}.lock")
        self.patch(os, "geteuid", lambda: 0)
        self.patch(os, "fchown", lambda descriptor, user, group: given_to.append(os.fstat(descriptor).st_ino))
        for content, linked in (("", True), ("root:x:0:0\n", True), ("root:x:0:0\n", False), ("", False)):
            other = self.folder / "other"
            other.write_text(content)
            os.link(other, lock)
            if not linked:
                other.unlink()
            edit_clients(self.path, lambda clients: (FULL,) if not clients else ())
            given = lock.stat().st_ino in given_to
            self.assertEqual(given, not content and not linked, (content, linked))
            self.assertIn(self.path.stat().st_ino, given_to)
            self.assertEqual(lock.read_text(), content)
            lock.unlink()
            given_to.clear()
            if linked:
                other.unlink()


class StampTests(FileTestCase):
    """What tells that a file has changed."""

    def test_changes(self) -> None:
        """Another file in its place, other content, another mode; nothing else does. None while there is none."""
        self.assertIsNone(stamp(self.path))
        self.clients(ENTRY)
        first = stamp(self.path)
        load_clients(self.path)
        self.assertEqual(stamp(self.path), first)
        edit_clients(self.path, lambda clients: (FULL,))
        second = stamp(self.path)
        self.path.chmod(0o640)
        third = stamp(self.path)
        self.assertEqual(len({first, second, third, None}), 4)

    def test_who_may_not_look(self) -> None:
        """A folder that may not be searched is not a folder without the file."""
        with mock.patch.object(Path, "stat", side_effect=PermissionError(errno.EACCES, "Permission denied")):
            self.assertEqual(stamp(self.path), (errno.EACCES,))

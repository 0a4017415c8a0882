"""Keys and MACs: that each depends on everything it should, and how they are built."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import struct
from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.errors import LocalProtocolError
from gotunnel.wire import handshake, keys, openform
from gotunnel.wire.keys import NO_BINDING

KS = bytes(range(32))
SID = bytes(range(16))


def length_prefixed(*parts: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def expand_once(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """HKDF-SHA256 of RFC 5869 for 32 bytes, written out."""
    prk = hmac.new(salt, secret, hashlib.sha256).digest()
    return hmac.new(prk, info + b"\x01", hashlib.sha256).digest()


class KeyTests(SynchronousTestCase):
    """The keys."""

    def test_hkdf(self) -> None:
        """K and Ks are RFC 5869 with these labels, for text beyond ASCII too."""
        self.assertEqual(
            keys.derive_key("tökén", "edge"), expand_once("tökén".encode(), b"edge", b"gotunnel-v2 auth")
        )
        self.assertEqual(keys.session_key(KS, SID * 2), expand_once(KS, SID * 2, b"gotunnel-v2 session"))

    def test_one_key_per_name(self) -> None:
        """A shared token still gives each client name a key of its own."""
        self.assertNotEqual(keys.derive_key("t" * 32, "a"), keys.derive_key("t" * 32, "b"))

    def test_no_token(self) -> None:
        """An empty token proves nothing, and one that is not text has no bytes; neither is shown."""
        for token in ("", " \n", "secret\udce9"):
            error = self.assertRaises(LocalProtocolError, keys.derive_key, token, "edge")
            self.assertNotIn("secret", str(error))

    def test_transcript_is_unambiguous(self) -> None:
        """A byte that moves from one part to the next makes another transcript, and so does another binding."""
        found = {
            keys.transcript(b"ab", b"c", NO_BINDING),
            keys.transcript(b"a", b"bc", NO_BINDING),
            keys.transcript(b"abc", b"", NO_BINDING),
            keys.transcript(b"ab", b"c", bytes(31) + b"\x01"),
        }
        self.assertEqual(len(found), 4)

    def test_binding_size(self) -> None:
        """A binding is 32 bytes, so that one that is missing by mistake cannot pass for "no TLS"."""
        for cb in (b"", bytes(31), bytes(33)):
            self.assertRaises(LocalProtocolError, keys.transcript, b"a", b"b", cb)
            self.assertRaises(LocalProtocolError, keys.leg_client_mac, KS, SID, 1, "reverse", cb)

    def test_reachable_from_the_handshake(self) -> None:
        """The handshake module offers the same functions."""
        for name in keys.__all__:
            self.assertIs(getattr(handshake, name), getattr(keys, name))


class MacTests(SynchronousTestCase):
    """The MACs, that of an OPEN by the reference."""

    prove: Callable[..., bytes] = staticmethod(openform.prove)

    def setUp(self) -> None:
        self.patch(openform.FORM, "prove", self.prove)

    def test_open(self) -> None:
        """The MAC of an OPEN, written out."""
        expected = hmac.new(
            KS,
            length_prefixed(
                b"open",
                SID,
                struct.pack(">Q", 7),
                b"forward",
                struct.pack(">Q", 3),
                b"dial",
                b"db:5432",
                b"c1",
                b"192.0.2.1:9",
            ),
            hashlib.sha256,
        ).digest()
        self.assertEqual(
            keys.open_mac(KS, SID, 7, "forward", 3, "dial", "db:5432", "c1", "192.0.2.1:9"), expected
        )

    def test_open_with_destination(self) -> None:
        """Where the visitor came to is proved where it is said; and it cannot be moved into, or out of, the source."""
        base = (KS, SID, 7, "reverse", 1, "mapping", "web", "c1")
        found = [
            keys.open_mac(*base, "a:1"), keys.open_mac(*base, "a:1", "b:2"), keys.open_mac(*base, "a:1", "b:3"),
            keys.open_mac(*base, "a:1", ""), keys.open_mac(*base, "a:1\0\0\0\3b:2"),
        ]  # fmt: skip
        self.assertEqual(len(set(found)), len(found))

    def test_open_depends_on_everything(self) -> None:
        """Another value in any place is another MAC."""
        base = (KS, SID, 7, "reverse", 1, "mapping", "web", "c1", "a:1")
        other = (bytes(32), bytes(16), 8, "forward", 2, "dial", "wee", "c2", "a:2")
        found = {keys.open_mac(*base)}
        for index in range(len(base)):
            changed = list(base)
            changed[index] = other[index]
            found.add(keys.open_mac(*changed))  # type: ignore[arg-type]
        self.assertEqual(len(found), len(base) + 1)

    def test_leg_depends_on_everything(self) -> None:
        """The same for legs; and the two directions differ, so that neither MAC can be sent back."""
        values = itertools.product(
            (KS, bytes(32)), (SID, bytes(16)), (1, 2), ("reverse", "forward"), (NO_BINDING, KS)
        )
        found = [mac(*v) for v in values for mac in (keys.leg_client_mac, keys.leg_server_mac)]
        self.assertEqual(len(set(found)), 64)
        self.assertNotEqual(keys.client_mac(KS, SID * 2), keys.server_mac(KS, SID * 2))

    def test_numbers(self) -> None:
        """Numbers are uint64; one that is not is our own error."""
        keys.leg_client_mac(KS, SID, 2**64 - 1, "reverse", NO_BINDING)
        for seq in (-1, 2**64):
            self.assertRaises(LocalProtocolError, keys.leg_client_mac, KS, SID, seq, "reverse", NO_BINDING)

    def test_same(self) -> None:
        """Equal is equal, whatever the lengths; text and bytes are the same secret."""
        self.assertTrue(keys.same(b"abc", b"abc"))
        self.assertTrue(keys.same("é", "é".encode()))
        for a, b in ((b"abc", b"abd"), (b"abc", b"ab"), (b"", b"a"), ("é", "e")):
            self.assertFalse(keys.same(a, b))

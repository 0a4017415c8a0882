"""Tests of gotunnel.core.identities."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.core import identities
from gotunnel.core.identities import KEYS, Identities, Identity, JoinKey, SharedToken
from gotunnel.core.ports import PortSet
from gotunnel.core.rights import Rights
from gotunnel.wire.handshake import derive_key
from tests.doubles import keys_of

TOKEN = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4
THIRD = "0011223344556677" * 4
RIGHTS = Rights(PortSet.parse(["1024-65535"]), reserved=frozenset({17000}))
OWN = Rights(PortSet.parse([10250]))
NOW = 1_800_000_000.0


def identity(name: str, *tokens: str, **more: Any) -> Identity:
    """Return an identity with keys of these tokens."""
    return Identity(name, tuple(derive_key(token, name) for token in tokens), OWN, **more)


class SharedTokenTests(SynchronousTestCase):
    """One token for all."""

    def test_key(self) -> None:
        """The key is the handshake's, another one for each name."""
        token = SharedToken(TOKEN, RIGHTS)
        self.assertEqual(
            token.key_for("edge-07"),
            bytes.fromhex("1b0be4c6a610583fdb199456eaacd6fdc6a7c2ff7ed5cf4fd3051a3dd1a56431"),
        )
        self.assertNotEqual(token.key_for("edge-07"), token.key_for("edge-08"))
        self.assertIs(token.rights, RIGHTS)

    def test_as_much_work_each_time(self) -> None:
        """A name that was here before costs as much as one that was not, or time would tell them apart."""
        derived: list[str] = []

        def count(token: str, client: str) -> bytes:
            derived.append(client)
            return derive_key(token, client)

        self.patch(identities, "derive_key", count)
        token = SharedToken(TOKEN, RIGHTS)
        for client in ("a", "b", "a", "a"):
            self.assertEqual(token.key_for(client), derive_key(TOKEN, client))
        self.assertEqual(derived, ["a", "b", "a", "a"])

    def test_warns_once(self) -> None:
        """A second name that proves the token is reported, once; a mere hello is not."""
        token = SharedToken(TOKEN, RIGHTS)
        for client in ("x", "y", "z"):
            token.key_for(client)
        reports = [token.authenticated(client) for client in ("a", "a", "b", "a", "c", "b")]
        self.assertEqual(reports, [False, False, True, False, False, False])

    def test_no_secret_in_repr(self) -> None:
        """A token does not print."""
        for value in (SharedToken(TOKEN, RIGHTS), identity("a", TOKEN), Identities([identity("a", TOKEN)])):
            shown = repr(value) + str(value)
            self.assertNotIn(TOKEN[:16], shown)
            self.assertNotIn(repr(derive_key(TOKEN, "a"))[2:-1], shown)


class IdentityTests(SynchronousTestCase):
    """One name, and whether it may come in."""

    def test_shut(self) -> None:
        """Disabled, revoked and expired each say so; the very second of the expiry is out already."""
        good = identity("a", TOKEN, expires=NOW)
        self.assertIsNone(good.shut(NOW - 0.001))
        self.assertEqual(good.shut(NOW), "it has expired")
        self.assertEqual(replace(good, disabled=True).shut(0), "it is disabled")
        for keyless in (identity("a"), identity("a", disabled=True)):
            self.assertEqual(keyless.shut(0), "it is revoked")


class JoinTests(SynchronousTestCase):
    """An identity that somebody may join with a one-time token."""

    def table(self, *tokens: str, following: str | None = None, **more: Any) -> Identities:
        """Return a table with such an identity, whose one-time token is THIRD and valid until NOW."""
        after = None if following is None else derive_key(following, "a")
        return Identities([identity("a", *tokens, join=JoinKey(derive_key(THIRD, "a"), NOW, after), **more)])

    def opens(self, table: Identities, now: float) -> list[bool]:
        """Say which of the three tokens open it."""
        return [derive_key(token, "a") in keys_of(table, "a", now) for token in (TOKEN, OTHER, THIRD)]

    def test_valid(self) -> None:
        """The one-time key until it expires; the lasting ones, one on its way included, beyond that."""
        table = self.table(TOKEN, following=OTHER)
        self.assertEqual(self.opens(table, NOW - 1), [True, True, True])
        self.assertEqual(self.opens(table, NOW), [True, True, False])
        self.assertEqual(len(set(keys_of(table, "a", NOW - 1))), KEYS)

    def test_shut(self) -> None:
        """With nothing but a one-time key it is open until that expires, and it was never revoked."""
        table = self.table()
        self.assertEqual((self.opens(table, NOW - 1)[2], self.opens(table, NOW)[2]), (True, False))
        entry = table.identity("a")
        assert entry is not None
        self.assertEqual((entry.shut(NOW - 1), entry.shut(NOW)), (None, "it has expired"))
        self.assertIsNone(self.table(following=OTHER).identity("a").shut(NOW))  # type: ignore[union-attr]

    def test_disabled_or_over(self) -> None:
        """What shuts an identity shuts its join too."""
        for shut in (self.table(disabled=True, following=OTHER), self.table(expires=NOW - 5, following=OTHER)):
            self.assertEqual(self.opens(shut, NOW - 1), [False, False, False])

    def test_joins(self) -> None:
        """Only the one-time key does, and only for its own name."""
        table = self.table(TOKEN, following=OTHER)
        found = [table.joins("a", derive_key(token, "a")) for token in (TOKEN, OTHER, THIRD)]
        self.assertEqual(found, [False, False, True])
        self.assertFalse(table.joins("b", derive_key(THIRD, "a")))

    def test_supersedes(self) -> None:
        """The newest of several does; keys that stand in a configuration end nobody's."""
        for table, expected in (
            (self.table(TOKEN, following=OTHER, filed=True), [False, True, False]),
            (self.table(TOKEN, filed=True), [False, False, False]),
            (Identities([identity("a", TOKEN, OTHER, filed=True)]), [False, True, False]),
            (Identities([identity("a", TOKEN, filed=True)]), [False, False, False]),
            (Identities([identity("a", TOKEN, OTHER)]), [False, False, False]),
            (Identities(), [False, False, False]),
        ):
            found = [table.supersedes("a", derive_key(token, "a")) for token in (TOKEN, OTHER, THIRD)]
            self.assertEqual(found, expected)

    def test_no_secret_in_repr(self) -> None:
        """A key does not print."""
        shown = repr(JoinKey(derive_key(THIRD, "a"), NOW, derive_key(OTHER, "a")))
        self.assertEqual(shown, f"JoinKey(expires={NOW})")


class IdentitiesTests(SynchronousTestCase):
    """The table."""

    def test_own_comes_first(self) -> None:
        """A name with its own token has its own rights, and the shared token does not open it."""
        table = Identities([identity("worker-1", OTHER)], SharedToken(TOKEN, RIGHTS))
        self.assertIn(derive_key(OTHER, "worker-1"), keys_of(table, "worker-1", NOW))
        self.assertNotIn(derive_key(TOKEN, "worker-1"), keys_of(table, "worker-1", NOW))
        self.assertIs(table.rights_for("worker-1", NOW), OWN)
        self.assertIn(derive_key(TOKEN, "worker-2"), keys_of(table, "worker-2", NOW))
        self.assertIs(table.rights_for("worker-2", NOW), RIGHTS)

    def test_shut_names(self) -> None:
        """No token opens a name whose identity is disabled, revoked or expired, the shared one neither."""
        shut = [
            identity("disabled", OTHER, disabled=True),
            identity("revoked"),
            identity("expired", OTHER, expires=NOW),
        ]
        table = Identities(shut, SharedToken(TOKEN, RIGHTS))
        for each in shut:
            keys = keys_of(table, each.name, NOW)
            for token in (OTHER, TOKEN):
                self.assertNotIn(derive_key(token, each.name), keys)
                self.assertEqual(table.shut_out(each.name, derive_key(token, each.name), NOW), each.shut(NOW))
            self.assertIsNone(table.rights_for(each.name, NOW))
        self.assertIn(derive_key(OTHER, "expired"), keys_of(table, "expired", NOW - 1))

    def test_lasting(self) -> None:
        """What is said to last is the same at any time; what an expiry, or that of a one-time token, may end is not."""
        join = JoinKey(derive_key(THIRD, "a"), NOW)
        lasting = [
            identity("own", TOKEN), identity("both", TOKEN, join=join), identity("revoked"),
            identity("disabled", TOKEN, disabled=True, expires=NOW),
        ]  # fmt: skip
        passing = [identity("expires", TOKEN, expires=NOW), identity("joins", join=join)]
        for others in (None, SharedToken(TOKEN, RIGHTS)):
            table = Identities([*lasting, *passing], others)
            for name in ("unknown", *(each.name for each in lasting)):
                self.assertTrue(table.lasts(name), name)
                self.assertIs(table.rights_for(name, 0), table.rights_for(name, NOW))
            for each in passing:
                self.assertFalse(table.lasts(each.name), each.name)
                self.assertIsNot(table.rights_for(each.name, 0), table.rights_for(each.name, NOW))

    def test_unknown(self) -> None:
        """Without a shared token an unknown name has neither key nor rights."""
        table = Identities([identity("worker-1", OTHER)])
        self.assertIsNone(table.rights_for("worker-2", NOW))
        self.assertFalse(table.authenticated("worker-2"))
        self.assertIsNotNone(table.shut_out("worker-2", derive_key(OTHER, "worker-2"), NOW))
        self.assertIsNone(table.identity("worker-2"))

    def test_as_many_keys_for_all(self) -> None:
        """Whatever a name is, there are KEYS keys for it, and one for the shared token, so that as many are compared;
        what fills them up is no token's, and differs from table to table."""
        own = [
            identity("one", OTHER),
            identity("two", OTHER, TOKEN),
            identity("disabled", OTHER, disabled=True),
            identity("expired", OTHER, expires=NOW),
            identity("revoked"),
        ]
        for others in (None, SharedToken(TOKEN, RIGHTS)):
            table, again = Identities(own, others), Identities(own, others)
            for name in ("one", "two", "disabled", "expired", "revoked", "unknown"):
                keys = keys_of(table, name, NOW)
                count = KEYS + (others is not None)
                self.assertEqual(([len(key) for key in keys], len(set(keys))), ([32] * count, count), name)
            unknown = keys_of(table, "unknown", NOW), keys_of(again, "unknown", NOW)
            common = {derive_key(TOKEN, "unknown")} if others else set()
            self.assertEqual(set(unknown[0]) & set(unknown[1]), common)

    def test_as_much_work_for_all(self) -> None:
        """Listed or not, the shared token's key is looked for just as often: deriving takes time that could be seen."""
        derived: list[str] = []

        def count(token: str, client: str) -> bytes:
            derived.append(client)
            return derive_key(token, client)

        own = [identity("listed", OTHER), identity("shut", OTHER, disabled=True)]
        table = Identities(own, SharedToken(TOKEN, RIGHTS))
        self.patch(identities, "derive_key", count)
        for name in ("listed", "shut", "unknown"):
            keys_of(table, name, NOW)
        self.assertEqual(derived, ["listed", "shut", "unknown"])

    def test_rotation(self) -> None:
        """Two tokens let in; a session of one that is not valid any more may not go on, the other's may."""
        both = Identities([identity("a", TOKEN, OTHER)])
        new = Identities([identity("a", OTHER)])
        for token in (TOKEN, OTHER):
            self.assertIn(derive_key(token, "a"), keys_of(both, "a", NOW))
            self.assertIsNone(both.shut_out("a", derive_key(token, "a"), NOW))
        self.assertIsNone(new.shut_out("a", derive_key(OTHER, "a"), NOW))
        self.assertEqual(new.shut_out("a", derive_key(TOKEN, "a"), NOW), "its token is not valid any more")

    def test_shared_session_of_a_name_that_is_listed_now(self) -> None:
        """A session that the shared token opened may not go on once its name has an identity, nor without that
        token."""
        shared, other, key = SharedToken(TOKEN, RIGHTS), SharedToken(OTHER, RIGHTS), derive_key(TOKEN, "a")
        self.assertIsNone(Identities([], shared).shut_out("a", key, NOW))
        for table in (Identities([identity("a", OTHER)], shared), Identities(), Identities([], other)):
            self.assertIsNotNone(table.shut_out("a", key, NOW))

    def test_refused(self) -> None:
        """A name that stands twice, and three keys, are bugs of the caller."""
        self.assertRaises(ValueError, Identities, [identity("a", TOKEN), identity("a", OTHER)])
        self.assertRaises(ValueError, Identities, [identity("a", TOKEN, OTHER, THIRD)])

    def test_common_tokens(self) -> None:
        """Names of the clients file whose own token is the shared one are named; others are told by the loader."""
        own = [identity("a", OTHER), identity("b", OTHER, TOKEN, filed=True), identity("c"), identity("d", TOKEN)]
        self.assertEqual(Identities(own).names_with_common_token, frozenset())
        self.assertEqual(Identities(own, SharedToken(TOKEN, RIGHTS)).names_with_common_token, {"b"})

    def test_next_expiry(self) -> None:
        """The next one that is still to come."""
        own = [identity("a", OTHER), identity("b", OTHER, expires=NOW + 5), identity("c", OTHER, expires=NOW)]
        table = Identities(own)
        self.assertEqual([table.next_expiry(at) for at in (0, NOW, NOW + 5)], [NOW, NOW + 5, None])

    def test_authenticated(self) -> None:
        """Only names that used the shared token count as its names."""
        table = Identities([identity("worker-1", OTHER)], SharedToken(TOKEN, RIGHTS))
        reports = [table.authenticated(client) for client in ("worker-1", "a", "worker-1", "b")]
        self.assertEqual(reports, [False, False, False, True])

"""Tests of gotunnel.core.auth."""

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.core import auth
from gotunnel.core.auth import OwnTokens, Rights, SharedToken
from gotunnel.core.ports import PortSet
from gotunnel.errors import PortUnavailable
from gotunnel.wire.handshake import derive_key

TOKEN = "0123456789abcdef" * 4
OTHER = "fedcba9876543210" * 4
RIGHTS = Rights(PortSet.parse(["1024-65535"]), reserved=frozenset({17000}))


class RightsTests(SynchronousTestCase):
    """What a client may open."""

    def code(self, bind: str, port: int, rights: Rights = RIGHTS) -> str:
        """Return the code of the refusal."""
        return self.assertRaises(PortUnavailable, rights.check_port, bind, port).code

    def test_allowed(self) -> None:
        """A port within the rights passes, on any address."""
        for bind in ("", "0.0.0.0", "::1", "10.0.0.1"):
            RIGHTS.check_port(bind, 10250)

    def test_codes(self) -> None:
        """Each reason for a refusal has its word on the wire."""
        self.assertEqual(self.code("", 80), "acl_denied")
        self.assertEqual(self.code("", 17000), "reserved")
        for port in (0, -1, 65536, True, "80"):
            self.assertEqual(self.code("", port), "bad_request")  # type: ignore[arg-type]
        self.assertEqual(self.code("example.org", 10250), "bad_request")

    def test_binds(self) -> None:
        """Where the addresses are limited, another spelling of an allowed one is allowed and a wildcard is
        not."""
        rights = Rights(PortSet.parse(["1-65535"]), binds=frozenset({"localhost", "2001:DB8::1"}))
        rights.check_port("127.0.0.1", 80)
        rights.check_port("::ffff:127.0.0.1", 80)
        rights.check_port("2001:db8:0::1", 80)
        for bind in ("", "0.0.0.0", "::", "10.0.0.1"):
            self.assertEqual(self.code(bind, 80, rights), "acl_denied")

    def test_room(self) -> None:
        """The last mapping that fits is allowed, the next one is not."""
        rights = Rights(PortSet(), max_mappings=2)
        rights.check_room(1)
        self.assertEqual(self.assertRaises(PortUnavailable, rights.check_room, 2).code, "limit")


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
        self.assertIs(token.rights_for("edge-07"), RIGHTS)

    def test_cache(self) -> None:
        """Keys are derived once while they are in use, and strangers' names do not fill the memory."""
        derived: list[str] = []

        def count(token: str, client: str) -> bytes:
            derived.append(client)
            return derive_key(token, client)

        self.patch(auth, "derive_key", count)
        token = SharedToken(TOKEN, RIGHTS, cached_keys=2)
        for client in ("a", "b", "a", "c", "a", "b"):
            self.assertEqual(token.key_for(client), derive_key(TOKEN, client))
        # "c" pushed out "b", which was used less recently than "a".
        self.assertEqual(derived, ["a", "b", "c", "b"])

    def test_warns_once(self) -> None:
        """A second name that proves the token is reported, once; a mere hello is not."""
        token = SharedToken(TOKEN, RIGHTS)
        for client in ("x", "y", "z"):
            token.key_for(client)
        reports = [token.authenticated(client) for client in ("a", "a", "b", "a", "c", "b")]
        self.assertEqual(reports, [False, False, True, False, False, False])

    def test_no_secret_in_repr(self) -> None:
        """A token does not print."""
        for value in (SharedToken(TOKEN, RIGHTS), OwnTokens({"a": (TOKEN, RIGHTS)})):
            self.assertNotIn(TOKEN[:16], repr(value) + str(value))


class OwnTokensTests(SynchronousTestCase):
    """A token for each client."""

    def test_own_comes_first(self) -> None:
        """A name with its own token has its own rights, and the shared token does not open it."""
        own = Rights(PortSet.parse([10250]))
        tokens = OwnTokens({"worker-1": (OTHER, own)}, SharedToken(TOKEN, RIGHTS))
        self.assertEqual(tokens.key_for("worker-1"), derive_key(OTHER, "worker-1"))
        self.assertIs(tokens.rights_for("worker-1"), own)
        self.assertEqual(tokens.key_for("worker-2"), derive_key(TOKEN, "worker-2"))
        self.assertIs(tokens.rights_for("worker-2"), RIGHTS)

    def test_unknown(self) -> None:
        """Without a shared token an unknown name has neither key nor rights."""
        tokens = OwnTokens({"worker-1": (OTHER, RIGHTS)})
        self.assertIsNone(tokens.key_for("worker-2"))
        self.assertIsNone(tokens.rights_for("worker-2"))
        self.assertFalse(tokens.authenticated("worker-2"))

    def test_common_tokens(self) -> None:
        """Names that share a token with anybody are named, white space around a token set aside."""
        clients = {
            "a": (OTHER, RIGHTS),
            "b": (f" {OTHER}\n", RIGHTS),
            "c": (TOKEN, RIGHTS),
            "d": ("d" * 32, RIGHTS),
        }
        self.assertEqual(OwnTokens(clients).names_with_common_token, {"a", "b"})
        shared = SharedToken(TOKEN, RIGHTS)
        self.assertEqual(OwnTokens(clients, shared).names_with_common_token, {"a", "b", "c"})

    def test_authenticated(self) -> None:
        """Only names that used the shared token count as its names."""
        tokens = OwnTokens({"worker-1": (OTHER, RIGHTS)}, SharedToken(TOKEN, RIGHTS))
        reports = [tokens.authenticated(client) for client in ("worker-1", "a", "worker-1", "b")]
        self.assertEqual(reports, [False, False, False, True])

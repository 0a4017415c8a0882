"""Tests of gotunnel.core.rights."""

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.core.ports import PortSet
from gotunnel.core.rights import NO_RIGHTS, Rights
from gotunnel.errors import PortUnavailable

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

    def test_none(self) -> None:
        """Who may nothing may nothing: no port, no mapping."""
        self.assertEqual(self.code("", 10250, NO_RIGHTS), "acl_denied")
        self.assertEqual(self.assertRaises(PortUnavailable, NO_RIGHTS.check_room, 0).code, "limit")

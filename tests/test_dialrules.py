"""What a client may reach: rules, and addresses that try to get around them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.address import HostPort, UnixPath
from gotunnel.dialrules import DialRules, MappingTarget, parse_rule, parse_target


class ParseTests(SynchronousTestCase):
    """Reading rules and targets."""

    def test_refused(self) -> None:
        """What is no rule is refused in one line that quotes it."""
        for text in (
            "", "10.0.0.1", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:9-8", "10.0.0.1:a", "fd00::1:443",
            "10.0.0.0/33:443", "10.0.0.1/8:443", "[fd00::/8:443", ":443", "a b:1", "*:443", "*.*:443", "a.*.b:443",
            "256.0.0.1:443", "1.2.3:443", "mapping:", "mapping:x", "mapping:/x", "mapping:a b/x", "mapping:a/",
            "mapping:a/\n", "unix:x", "unix:" + "/x" * 60, "http://x:80", "10.0.0.1:443,444",
        ):  # fmt: skip
            with self.assertRaises(ValueError, msg=text) as caught:
                parse_rule(text)
            self.assertNotIn("\n", str(caught.exception))

    def test_targets(self) -> None:
        """A forward dials an address, a unix socket or a mapping; never a pattern."""
        self.assertEqual(parse_target("10.0.0.7:443"), HostPort("10.0.0.7", 443))
        self.assertEqual(parse_target("unix:/run/x"), UnixPath("/run/x"))
        self.assertEqual(parse_target("mapping:home/api/v1"), MappingTarget("home", "api/v1"))
        self.assertEqual(str(MappingTarget("home", "api")), "mapping:home/api")
        self.assertEqual(parse_target("mapping:api"), MappingTarget(None, "api"))
        self.assertEqual(str(MappingTarget(None, "api")), "mapping:api")
        for text in ("mapping:*/api", "mapping:/api", "mapping:", "10.0.0.0/8:443"):
            with self.assertRaises(ValueError, msg=text):
                parse_target(text)


class JudgeTests(SynchronousTestCase):
    """What rules allow."""

    def test_nothing(self) -> None:
        """Without rules nothing is allowed, in any form."""
        rules = DialRules()
        self.assertFalse(rules)
        self.assertFalse(rules.allows("127.0.0.1", 6443))
        self.assertFalse(rules.may_resolve("localhost", 6443))
        self.assertFalse(rules.allows_path("/run/x"))
        self.assertFalse(rules.allows_mapping("home", "api"))

    def test_networks(self) -> None:
        """Addresses and networks, with their ports, in either family and in each other's clothes."""
        rules = DialRules.parse(["10.0.0.0/8:443", "192.0.2.7:8000-8010", "[fd00::/8]:*", "[::1]:22",
                                  "[::ffff:198.51.100.0/120]:7"])
        for host, port, allowed in (
            ("10.255.0.1", 443, True), ("10.255.0.1", 444, False), ("11.0.0.1", 443, False),
            ("::ffff:10.1.2.3", 443, True), ("::ffff:11.1.2.3", 443, False),
            ("192.0.2.7", 7999, False), ("192.0.2.7", 8000, True), ("192.0.2.7", 8010, True),
            ("192.0.2.7", 8011, False),
            ("fd12::1", 1, True), ("fd12::1%eth0", 65535, True), ("fe80::1", 1, False), ("::1", 22, True),
            ("198.51.100.9", 7, True), ("::ffff:198.51.100.9", 7, True), ("198.51.101.9", 7, False),
            ("127.0.0.1", 22, False), ("0.0.0.0", 443, False), ("::", 22, False),
        ):  # fmt: skip
            self.assertEqual(rules.allows(host, port), allowed, (host, port))

    def test_names(self) -> None:
        """A name covers what it resolves to, by its own port, in any case; `*.` covers what is below, not the name."""
        rules = DialRules.parse(["db.Example.org:5432", "*.svc.local:443"])
        for name, port, allowed in (
            ("db.example.org", 5432, True), ("DB.EXAMPLE.ORG.", 5432, True), ("db.example.org", 5433, False),
            ("xdb.example.org", 5432, False), ("db.example.org.evil", 5432, False),
            ("a.svc.local", 443, True), ("a.b.svc.local", 443, True), ("svc.local", 443, False),
            ("asvc.local", 443, False),
        ):  # fmt: skip
            self.assertEqual(rules.may_resolve(name, port), allowed, name)
            self.assertEqual(rules.allows("203.0.113.9", port, name), allowed, name)
        self.assertFalse(rules.allows("203.0.113.9", 5432))

    def test_rebinding(self) -> None:
        """An allowed name that resolves to this machine or its link is not followed, unless a network rule says so."""
        rules = DialRules.parse(["evil.example:80"])
        for host in (
            "127.0.0.1", "127.255.1.1", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "::ffff:0.0.0.0", "169.254.169.254",
            "fe80::1", "224.0.0.1", "ff02::1", "255.255.255.255", "240.0.0.1",
        ):  # fmt: skip
            self.assertFalse(rules.allows(host, 80, "evil.example"), host)
        self.assertTrue(rules.allows("10.0.0.1", 80, "evil.example"))
        both = DialRules.parse(["evil.example:80", "127.0.0.1:80"])
        self.assertTrue(both.allows("127.0.0.1", 80, "evil.example"))
        self.assertFalse(both.allows("127.0.0.2", 80, "evil.example"))

    def test_own(self) -> None:
        """The same for an address that is the server's own, which the rules are told."""
        rules = DialRules.parse(["evil.example:80", "10.0.0.2:80"])
        for host, allowed in (("10.0.0.1", False), ("10.0.0.2", True), ("10.0.0.3", True)):
            found = rules.allows(host, 80, "evil.example", lambda ip: ip in ("10.0.0.1", "10.0.0.2"))
            self.assertEqual(found, allowed, host)
        self.assertTrue(rules.allows("10.0.0.2", 80, None, lambda ip: True))

    def test_localhost(self) -> None:
        """`localhost` means this machine, in both families, and is no name that a DNS server may define."""
        rules = DialRules.parse(["localhost:80"])
        self.assertTrue(rules.allows("127.0.0.1", 80, "localhost"))
        self.assertTrue(rules.allows("::1", 80))
        self.assertFalse(rules.allows("203.0.113.9", 80, "localhost"))

    def test_mappings_and_paths(self) -> None:
        """Other clients' mappings by patterns; sockets by their exact path."""
        rules = DialRules.parse(["mapping:home-*/apiserver", "mapping:edge/*", "unix:/run/x.sock"])
        for client, mapping, allowed in (
            ("home-1", "apiserver", True), ("home-1", "etcd", False), ("xhome-1", "apiserver", False),
            ("edge", "anything", True), ("Edge", "anything", False), ("edge2", "anything", False),
        ):  # fmt: skip
            self.assertEqual(rules.allows_mapping(client, mapping), allowed, (client, mapping))
        self.assertTrue(rules.allows_path("/run/x.sock"))
        self.assertFalse(rules.allows_path("/run/x.sock2"))
        self.assertFalse(rules.allows_path("/run/../run/x.sock"))

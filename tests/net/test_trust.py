"""Whom a certificate names: servers by name and pin, clients by their one name."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.net.certificates import load_pair, spki_pin
from gotunnel.net.trust import Trust, chain_problem, client_name_problem, server_name_of
from tests.certificates import Authority, client_of


class TrustTestCase(SynchronousTestCase):
    """A test with an authority."""

    def setUp(self) -> None:
        """Make it."""
        folder = Path(self.mktemp())
        folder.mkdir()
        self.authority = Authority(folder)

    def server(self, *names: str) -> x509.Certificate:
        """Issue one for a server."""
        return load_pair(*self.authority.issue(*names)).leaf

    def client(self, *names: str, **more: bool) -> x509.Certificate:
        """Issue one for a client."""
        return load_pair(*client_of(self.authority, *names, **more)).leaf


class ServerTests(TrustTestCase):
    """Trust.problem."""

    def test_names(self) -> None:
        """DNS names with wildcards of one label, addresses only as addresses."""
        good = {
            "a.example.com": ("a.example.com",),
            "A.Example.COM": ("a.example.com",),
            "a.example.com.": ("a.example.com",),
            "b.example.com": ("a.example.com", "*.example.com"),
            "192.0.2.1": ("192.0.2.1",),
            "2001:db8::1": ("2001:db8::1",),
        }
        bad = {
            "example.com": ("*.example.com",),
            "a.b.example.com": ("*.example.com",),
            "192.0.2.2": ("192.0.2.1", "*"),
            "com": ("*",),
        }
        for name, names in good.items():
            self.assertIsNone(Trust(name, chain=True).problem(self.server(*names)), name)
        for name, names in bad.items():
            self.assertIn("is not for", Trust(name, chain=True).problem(self.server(*names)) or "", name)

    def test_pins_alone(self) -> None:
        """Then the name does not matter, and any one of the pins will do."""
        first, second = self.server("a"), self.server("b")
        pins = frozenset({spki_pin(first), "sha256:" + "A" * 43 + "="})
        self.assertIsNone(Trust("elsewhere", pins=pins).problem(first))
        problem = Trust("b", pins=pins).problem(second) or ""
        self.assertIn(spki_pin(second), problem)
        self.assertIn("client.tls.pin", problem)

    def test_both(self) -> None:
        """With an authority and pins both must hold."""
        certificate = self.server("a")
        pins = frozenset({spki_pin(certificate)})
        self.assertIsNone(Trust("a", chain=True, pins=pins).problem(certificate))
        self.assertIn("is not for", Trust("b", chain=True, pins=pins).problem(certificate) or "")
        self.assertIn("pin", Trust("a", chain=True, pins=frozenset({"sha256:x"})).problem(certificate) or "")

    def test_hostile_names(self) -> None:
        """What stands in a certificate reaches a log as one short line."""
        certificate = self.server("x", *(f"x{number}\r\n[error] all is lost\x1b[2J{'y' * 200}" for number in range(9)))
        problem = Trust("a", chain=True).problem(certificate) or ""
        self.assertTrue(problem.isprintable())
        self.assertLess(len(problem), 500)

    def test_key_that_cannot_be_read(self) -> None:
        """Anybody can send a certificate with a key of no known kind: it is not the pinned one, and nothing raises."""
        der = self.server("a").public_bytes(Encoding.DER)
        ecdsa, unknown = bytes.fromhex("06072a8648ce3d0201"), bytes.fromhex("06072a8648ce3d0209")
        self.assertEqual(der.count(ecdsa), 1)
        odd = x509.load_der_x509_certificate(der.replace(ecdsa, unknown))
        self.assertRaises(UnsupportedAlgorithm, odd.public_key)
        self.assertIn("cannot be read", Trust("a", pins=frozenset({"sha256:x"})).problem(odd) or "")

    def test_names_that_cannot_be_read(self) -> None:
        """A certificate that has its names twice names nobody, a server and a client alike."""
        der = self.client("edge").public_bytes(Encoding.DER)
        usage, names = bytes.fromhex("0603551d25"), bytes.fromhex("0603551d11")
        odd = x509.load_der_x509_certificate(der.replace(usage, names))
        self.assertRaises(Exception, lambda: odd.extensions)  # noqa: B017 - of a kind of cryptography's own
        self.assertIn("no DNS name at all", client_name_problem(odd, "edge") or "")
        self.assertIn("is not for", Trust("edge", chain=True).problem(odd) or "")

    def test_words_for_chains(self) -> None:
        """Each verdict says what to do, and where."""
        for code, words in ((9, "clock"), (10, "renew"), (18, "a.ca"), (20, "a.ca"), (26, "a client"), (999, "a.ca")):
            self.assertIn(words, chain_problem(code, "a.ca", "a client"))


class ClientTests(TrustTestCase):
    """client_name_problem."""

    def test_its_own(self) -> None:
        """A DNS name of the subjectAltName, one of several perhaps."""
        for name in ("edge-07", "Edge_07.x", "a" * 64, "-", "."):
            self.assertIsNone(client_name_problem(self.client("other", name), name), name)

    def test_others(self) -> None:
        """No other spelling, no wildcard, no address, and never the common name."""
        for client, names in (
            ("edge-07", ("edge-08",)),
            ("edge-07", ("Edge-07",)),
            ("edge-07", ("edge-07.",)),
            ("edge-07.example.com", ("*.example.com",)),
            ("edge-07", ("*",)),
            ("edge-0", ("edge-07",)),
            ("192.0.2.1", ("192.0.2.1",)),
        ):
            problem = client_name_problem(self.client(*names), client) or ""
            self.assertIn(f"DNS:{client}", problem, (client, names))
        common = self.client("edge-07", named=False)
        self.assertIn("edge-07", common.subject.rfc4514_string())
        self.assertIn("no DNS name at all", client_name_problem(common, "edge-07") or "")
        self.assertIn("client.tls.cert", client_name_problem(None, "edge-07") or "")


class ServerNameTests(SynchronousTestCase):
    """server_name_of: what goes into the ClientHello."""

    def test_names(self) -> None:
        """Names as they travel; nothing for addresses and for what no library sends."""
        for name, sent in (
            ("tunnel.example.com", "tunnel.example.com"),
            ("tunnel.example.com.", "tunnel.example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("a_b", "a_b"),
            ("192.0.2.1", None),
            ("2001:db8::1", None),
            (".x", None),
            ("a..b", None),
            ("a" * 64, None),
            ("", None),
            (".", None),
        ):
            self.assertEqual(server_name_of(name), sent, name)

"""TLS of both roles: files, what a client accepts, and the two bindings."""

from __future__ import annotations

import datetime
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import crypto
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Protocol
from twisted.internet.ssl import AcceptableCiphers, CertificateOptions, TLSVersion
from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import formatEvent, globalLogPublisher
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from gotunnel.net import owncert
from gotunnel.net.certificates import dates, spki_pin
from gotunnel.net.owncert import own_pair
from gotunnel.net.quiet import OneProtocol
from gotunnel.net.tls import (
    OWN_FILE,
    NotTrusted,
    ServerTls,
    TlsFilesError,
    client_creator,
    exporter_binding,
    load_server_tls,
    own_server_tls,
    web_creator,
)
from gotunnel.net.tlspeer import leg_binding
from gotunnel.wire.keys import NO_BINDING
from tests.certificates import BAD, Authority, bad_server
from tests.doubles import MemoryTransport
from tests.processes import ROOT

HOST = "tunnel.example.com"

WORDS = {
    "other CA": "was not issued by",
    "wrong name": "is not for",
    "no name": "is not for",
    "expired": "has expired",
    "not yet valid": "is not valid yet",
    "self-signed": "is self-signed",
    "wrong EKU": "is not meant for a server",
}


@implementer(IHandshakeListener)
class Talker(Protocol):
    """Says something at once, like a client its hello, and keeps what it hears."""

    def __init__(self, words: bytes) -> None:
        self.words = words
        self.heard = b""
        self.shaken = False
        self.ended: Any = None

    def connectionMade(self) -> None:
        if self.words:
            self.transport.write(self.words)

    def handshakeCompleted(self) -> None:
        self.shaken = True

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: Any = None) -> None:
        self.ended = reason


class Pair:
    """Both ends of one TLS session, in memory."""

    def __init__(self, server_options: Any, creator: Any) -> None:
        self.clock = Clock()
        self.server, self.client = Talker(b""), Talker(b"hello")
        self.pipes = MemoryTransport(self.clock), MemoryTransport(self.clock)
        serving = TLSMemoryBIOFactory(
            server_options, False, OneProtocol(lambda: self.server), clock=self.clock
        )
        calling = TLSMemoryBIOFactory(creator, True, OneProtocol(lambda: self.client), clock=self.clock)
        for pipe, factory in zip(self.pipes, (serving, calling), strict=True):
            pipe.protocol = factory.buildProtocol(None)
            pipe.protocol.makeConnection(pipe)
        self.pump()

    def pump(self) -> None:
        """Carry bytes until there are none; an end that is closed sends and hears nothing more, but what it sent is
        carried."""
        moved = True
        while moved:
            moved = False
            self.clock.advance(0)
            for here, there in (self.pipes, self.pipes[::-1]):
                data = here.value()
                here.clear()
                if data and not there.gone:
                    there.say_bytes(data)
                    moved = True


class TlsTestCase(SynchronousTestCase):
    """A test with a folder."""

    def setUp(self) -> None:
        """Make the folder."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()


class OwnCertificateTests(TlsTestCase):
    """The certificate that a server makes for itself."""

    def test_made_once(self) -> None:
        """It lasts: the second start has the same, and so the same binding. Only the owner may read it."""
        first = own_server_tls(self.folder)
        self.assertEqual(own_server_tls(self.folder).leg_binding, first.leg_binding)
        self.assertEqual((self.folder / OWN_FILE).stat().st_mode & 0o777, 0o600)
        self.assertEqual(os.listdir(self.folder), [OWN_FILE])

    def test_two_at_once(self) -> None:
        """A second process that lost the race uses what the first one wrote."""
        original = owncert._make

        def late(*args: Any) -> bytes:
            self.patch(owncert, "_make", original)
            own_server_tls(self.folder)  # the other process, just now
            return original(*args)

        self.patch(owncert, "_make", late)
        self.assertEqual(own_server_tls(self.folder).leg_binding, own_server_tls(self.folder).leg_binding)
        self.assertEqual(os.listdir(self.folder), [OWN_FILE])

    def test_folder_that_is_no_folder(self) -> None:
        """One line that says what to do."""
        error = self.assertRaises(TlsFilesError, own_server_tls, self.folder / "missing")
        self.assertIn("the state folder must be writable", str(error))

    def test_broken_file(self) -> None:
        """Put aside and made anew, with an error that names what follows; nothing of it is lost."""
        (self.folder / OWN_FILE).write_bytes(b"nonsense")
        (self.folder / OWN_FILE).chmod(0o644)
        events = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        found = own_server_tls(self.folder)
        (event,) = events
        self.assertIn("clients with tls.pin need the new pin", str(formatEvent(event)))
        self.assertEqual(own_server_tls(self.folder).leg_binding, found.leg_binding)
        self.assertEqual((self.folder / f"{OWN_FILE}.broken").read_bytes(), b"nonsense")
        self.assertEqual((self.folder / OWN_FILE).stat().st_mode & 0o777, 0o600)

    def test_unreadable_file(self) -> None:
        """That is not the file's fault: it is left as it is."""
        (self.folder / OWN_FILE).mkdir()
        self.assertRaises(TlsFilesError, own_server_tls, self.folder)
        self.assertEqual(os.listdir(self.folder), [OWN_FILE])

    def test_near_its_end(self) -> None:
        """It is made anew for the same key, so that its pin stays; not earlier."""
        first = own_pair(self.folder)
        last = dates(first.leaf)[1]
        month = datetime.timedelta(days=30)
        day = datetime.timedelta(days=1)
        self.assertEqual(own_pair(self.folder, last - month - day).leaf, first.leaf)
        late = own_pair(self.folder, last - month + day)
        self.assertNotEqual(late.leaf, first.leaf)
        self.assertEqual(spki_pin(late.leaf), spki_pin(first.leaf))
        self.assertGreater(dates(late.leaf)[1], last + 300 * month)
        self.assertEqual(own_pair(self.folder, last).leaf, late.leaf)
        self.assertEqual(os.listdir(self.folder), [OWN_FILE])
        self.assertEqual((self.folder / OWN_FILE).stat().st_mode & 0o777, 0o600)

    def test_binding(self) -> None:
        """The SHA-256 of the certificate in DER."""
        found = own_server_tls(self.folder)
        certificate = x509.load_pem_x509_certificate((self.folder / OWN_FILE).read_bytes())
        self.assertEqual(found.leg_binding, hashlib.sha256(certificate.public_bytes(Encoding.DER)).digest())


class FilesTests(TlsTestCase):
    """server.tls.cert and key."""

    def setUp(self) -> None:
        """Make an authority."""
        super().setUp()
        self.authority = Authority(self.folder)

    def refused(self, cert: Path, key: Path) -> str:
        """Load, and return the one line that says why not."""
        text = str(self.assertRaises(TlsFilesError, load_server_tls, cert, key))
        self.assertNotIn("\n", text)
        self.assertNotIn("PRIVATE", text)
        return text

    def test_good(self) -> None:
        """With its chain behind it."""
        cert, key = self.authority.issue(HOST)
        chained = self.folder / "chained.pem"
        chained.write_bytes(cert.read_bytes() + self.authority.file.read_bytes())
        for file in (cert, chained):
            tls = load_server_tls(file, key)
            leaf = x509.load_pem_x509_certificate(cert.read_bytes())
            self.assertEqual(tls.leg_binding, hashlib.sha256(leaf.public_bytes(Encoding.DER)).digest())

    def test_bad(self) -> None:
        """Missing, empty, garbage, of another certificate, swapped."""
        cert, key = self.authority.issue(HOST)
        other = self.authority.issue(HOST)[1]
        empty = self.folder / "empty"
        empty.write_bytes(b"")
        garbage = self.folder / "garbage"
        garbage.write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
        self.assertIn("No such file", self.refused(self.folder / "missing", key))
        self.assertIn("does not belong", self.refused(cert, other))
        for pair in ((empty, key), (cert, empty), (cert, garbage), (key, key), (cert, cert)):
            self.assertIn("no usable certificate", self.refused(*pair))

    def test_keys_that_tls_refuses(self) -> None:
        """Too short, or of a kind that signs nothing: told when it is loaded, in one line, not at each handshake."""
        small, mute = rsa.generate_private_key(65537, 1024), X25519PrivateKey.generate()
        self.assertIn("key too small", self.refused(*self.authority.issue(HOST, key=small)))
        self.assertIn("OpenSSL does not take it", self.refused(*self.authority.issue(HOST, key=mute)))

    def test_encrypted_key(self) -> None:
        """Refused, and nobody is asked for a pass phrase, terminal or not."""
        cert, key = self.authority.issue(HOST, password=b"secret")
        self.assertIn("unencrypted key", self.refused(cert, key))
        script = (
            "import sys, pty, os\n"
            "from pathlib import Path\n"
            "from gotunnel.net.tls import load_server_tls, TlsFilesError\n"
            "try: load_server_tls(Path(sys.argv[1]), Path(sys.argv[2]))\n"
            "except TlsFilesError: print('refused')\n"
        )
        run = [sys.executable, "-c", f"import pty, sys; pty.spawn([sys.executable, '-c', {script!r}, *sys.argv[1:]])"]
        done = subprocess.run(
            [*run, str(cert), str(key)],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=60, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        self.assertEqual(done.stdout.strip(), b"refused")

    def test_ca_file(self) -> None:
        """Missing, or without a certificate."""
        for file in (self.folder / "missing", self.authority.issue(HOST)[1]):
            self.assertRaises(TlsFilesError, client_creator, file, HOST)


class BindingTests(TlsTestCase):
    """What ties the token to a TLS session."""

    def test_same_at_both_ends(self) -> None:
        """The exporter of a session, and the leaf certificate, whoever has signed it."""
        authority = Authority(self.folder)
        for tls in (own_server_tls(self.folder), load_server_tls(*authority.issue(HOST))):
            pair = Pair(tls.creator, client_creator(None, HOST))
            ours, theirs = exporter_binding(pair.server.transport), exporter_binding(pair.client.transport)
            self.assertEqual((len(ours), ours), (32, theirs))
            self.assertEqual(leg_binding(pair.client.transport), tls.leg_binding)
            self.assertEqual(pair.server.heard, b"hello")

    def test_each_session_its_own(self) -> None:
        """Two sessions with one certificate have different exporters."""
        tls = own_server_tls(self.folder)
        pairs = [Pair(tls.creator, client_creator(None, HOST)) for _ in range(2)]
        self.assertEqual(len({exporter_binding(pair.client.transport) for pair in pairs}), 2)

    def test_without_tls(self) -> None:
        """Zeros."""
        transport = MemoryTransport(Clock())
        self.assertEqual((exporter_binding(transport), leg_binding(transport)), (NO_BINDING, bytes(32)))


class VersionTests(TlsTestCase):
    """TLS 1.3 only."""

    def test_neither_end_takes_less(self) -> None:
        """An end that offers TLS 1.2 at most is refused, by the server and by the client."""
        tls = own_server_tls(self.folder)
        old_client = CertificateOptions(lowerMaximumSecurityTo=TLSVersion.TLSv1_2)
        old_server = CertificateOptions(
            privateKey=crypto.PKey.from_cryptography_key(tls.pair.key),
            certificate=crypto.X509.from_cryptography(tls.pair.leaf),
            lowerMaximumSecurityTo=TLSVersion.TLSv1_2,
        )
        self.assertEqual(Pair(tls.creator, client_creator(None, HOST)).server.heard, b"hello")
        self.assertEqual(Pair(old_server, old_client).server.heard, b"hello")
        self.assertEqual(Pair(tls.creator, old_client).server.heard, b"")
        self.assertEqual(Pair(old_server, client_creator(None, HOST)).server.heard, b"")

    def test_of_the_web(self) -> None:
        """Around a WebSocket 1.2 is taken, too, with keys that nobody keeps and ciphers that authenticate."""
        web = web_creator(own_server_tls(self.folder).pair)
        for ciphers, heard in (
            ("ECDHE-ECDSA-AES128-GCM-SHA256", b"hello"), ("ECDHE-ECDSA-CHACHA20-POLY1305", b"hello"),
            ("ECDHE-ECDSA-AES128-SHA", b""), ("ECDHE-ECDSA-AES256-SHA384", b""),
        ):  # fmt: skip
            old = CertificateOptions(
                lowerMaximumSecurityTo=TLSVersion.TLSv1_2,
                acceptableCiphers=AcceptableCiphers.fromOpenSSLCipherString(ciphers),
            )
            self.assertEqual(Pair(web, old).server.heard, heard, ciphers)
        self.assertEqual(Pair(web, client_creator(None, HOST)).server.heard, b"hello")


class AuthorityTests(TlsTestCase):
    """client.tls.ca."""

    def setUp(self) -> None:
        """Make an authority."""
        super().setUp()
        self.authority = Authority(self.folder)

    def test_good(self) -> None:
        """Issued by it for the name, or for the address, that is asked for."""
        for host in (HOST, "127.0.0.1", "::1"):
            tls = load_server_tls(*self.authority.issue(host))
            pair = Pair(tls.creator, client_creator(self.authority.file, host))
            self.assertEqual((pair.server.heard, pair.client.shaken), (b"hello", True), host)

    def test_one_of_several(self) -> None:
        """The file may hold several authorities."""
        other = Authority(self.folder, "old CA")
        both = self.folder / "both.pem"
        both.write_bytes(other.file.read_bytes() + self.authority.file.read_bytes())
        tls = load_server_tls(*self.authority.issue(HOST))
        self.assertEqual(Pair(tls.creator, client_creator(both, HOST)).server.heard, b"hello")

    def test_bad(self) -> None:
        """Bad ones of all kinds, for a name and for an address: no byte of the application reaches such a server."""
        for host in (HOST, "127.0.0.1"):
            for kind in BAD:
                tls: ServerTls = load_server_tls(*bad_server(kind, self.authority, host))
                pair = Pair(tls.creator, client_creator(self.authority.file, host))
                self.assertEqual(pair.server.heard, b"", f"{kind}, {host}")
                self.assertIsInstance(pair.client.ended.value, NotTrusted, f"{kind}, {host}")
                self.assertIn(WORDS[kind], str(pair.client.ended.value))

    def test_own_certificate_of_a_server(self) -> None:
        """With an authority configured a server's own certificate is a bad one; without, it is good."""
        tls = own_server_tls(self.folder)
        self.assertEqual(Pair(tls.creator, client_creator(self.authority.file, HOST)).server.heard, b"")
        self.assertEqual(Pair(tls.creator, client_creator(None, HOST)).server.heard, b"hello")

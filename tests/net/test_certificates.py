"""Files of certificates: what they are known by, as other programs say it."""

from __future__ import annotations

import base64
import os
import subprocess
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from gotunnel.net.certificates import (
    MOST,
    TlsFilesError,
    fingerprint,
    load_authorities,
    load_pair,
    spki_pin,
)
from tests.certificates import KINDS, Authority, key_in


def openssl(*words: str, given: bytes = b"") -> bytes:
    """Run the openssl command."""
    try:
        return subprocess.run(["openssl", *words], input=given, check=True, capture_output=True, timeout=60).stdout
    except FileNotFoundError:
        raise SkipTest("needs openssl") from None


class CertificatesTests(SynchronousTestCase):
    """Pins, fingerprints, files."""

    def setUp(self) -> None:
        """Make an authority."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.authority = Authority(self.folder)

    def test_pin_is_that_of_openssl(self) -> None:
        """The recipe of RFC 7469, appendix A, gives the same, for every kind of key; the fingerprint is openssl's."""
        for kind in KINDS:
            cert, key = self.authority.issue("x", key=kind)
            leaf = load_pair(cert, key).leaf
            public = openssl("x509", "-in", str(cert), "-pubkey", "-noout")
            der = openssl("pkey", "-pubin", "-outform", "der", given=public)
            digest = openssl("dgst", "-sha256", "-binary", given=der)
            self.assertEqual(spki_pin(leaf), "sha256:" + base64.b64encode(digest).decode())
            said = openssl("x509", "-in", str(cert), "-fingerprint", "-sha256", "-noout").decode()
            self.assertEqual(said.strip().partition("=")[2], fingerprint(leaf))

    def test_pin_stays_with_the_key(self) -> None:
        """A renewed certificate of one key has its pin, another key has another one."""
        cert, key = self.authority.issue("x")
        renewed = load_pair(*self.authority.issue("x", key=key_in(key)))
        self.assertNotEqual(load_pair(cert, key).leaf, renewed.leaf)
        self.assertEqual(spki_pin(load_pair(cert, key).leaf), spki_pin(renewed.leaf))
        self.assertNotEqual(spki_pin(load_pair(*self.authority.issue("x")).leaf), spki_pin(renewed.leaf))

    def test_no_files_of_that_kind(self) -> None:
        """Neither a pipe, which would never end, nor a huge file is read."""
        os.mkfifo(self.folder / "pipe")
        with (self.folder / "huge").open("wb") as huge:
            huge.truncate(MOST + 1)
        for name in ("pipe", "huge", "."):
            self.assertRaises(TlsFilesError, load_authorities, self.folder / name)

    def test_changed_meanwhile(self) -> None:
        """A pair whose files hold another one by now says so."""
        cert, key = self.authority.issue("x")
        pair = load_pair(cert, key)
        pair.check_unchanged()
        for old, new in zip((cert, key), self.authority.issue("x"), strict=True):
            new.replace(old)
        self.assertRaises(TlsFilesError, pair.check_unchanged)

    def test_key_is_never_shown(self) -> None:
        """Not in the words of an error, not in a representation."""
        cert, key = self.authority.issue("x")
        other = self.authority.issue("y")[1]
        secret = key.read_text().splitlines()[1]
        self.assertNotIn(secret, repr(load_pair(cert, key)))
        error = self.assertRaises(TlsFilesError, load_pair, cert, other)
        self.assertNotIn("BEGIN", str(error))
        self.assertIn(str(other), str(error))

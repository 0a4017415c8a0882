"""Others' scanners against a running server: TLS 1.3 and nothing else, no compression, no weak cipher or group."""

from __future__ import annotations

import shutil

from OpenSSL import SSL
from twisted.trial.unittest import SkipTest

from tests.e2e.harness import TunnelTestCase, need
from tests.hostile import judges, raw


class JudgeTests(TunnelTestCase):
    """Those that are done in a moment."""

    def test_sslscan(self) -> None:
        """sslscan finds what it should, and nothing else."""
        program = need("sslscan")
        self.server()
        self.assertEqual(judges.sslscan(program, self.host, self.control), [])

    def test_nmap(self) -> None:
        """nmap gives every cipher its best grade."""
        program = need("nmap")
        self.server()
        self.assertEqual(judges.nmap(program, self.host, self.control), [])

    def test_testssl(self) -> None:
        """testssl.sh, where it is installed, finds fault with nothing but what is so by design. It takes a while."""
        program = next(filter(None, map(shutil.which, ("testssl", "testssl.sh"))), None)
        if program is None:
            raise SkipTest("testssl.sh is not installed; a developer asks it with python -m tests.hostile.judges")
        self.server()
        self.assertEqual(judges.testssl(program, self.host, self.control), [])

    def test_testssl_finds(self) -> None:
        """What testssl.sh could not find out for itself is no fault of a server's; any other warning is one."""
        findings = [
            {"id": "TLS1_3", "severity": "OK", "finding": "offered with final"},
            {"id": "sessionresumption_ticket", "severity": "WARN", "finding": "check failed because of connect"},
            {"id": "cert_trust <cert#1>", "severity": "HIGH", "finding": "certificate does not match supplied URI"},
            {"id": "BREACH", "severity": "WARN", "finding": "nobody knows"},
        ]
        report = self.write("report.json", findings)
        program = self.write("testssl", f'#!/bin/sh\nwhile [ "$1" != --jsonfile ]; do shift; done\ncp {report} "$2"\n')
        program.chmod(0o700)
        self.assertEqual(judges.testssl(str(program), self.host, self.control), ["BREACH: WARN: nobody knows"])

    def test_sslscan_finds(self) -> None:
        """A server without TLS, or with an older one too, does not pass."""
        program = need("sslscan")
        self.server(tls={"mode": "off"})
        self.assertNotEqual(judges.sslscan(program, self.host, self.control), [])

    def test_older_versions(self) -> None:
        """TLS 1.2 and older are refused by the handshake, on the names of control connections and of legs."""
        self.server()
        for sni in (None, b"legs.gotunnel"):
            raw.connect(self.host, self.control, tls=True, sni=sni).close()
            for newest in (SSL.TLS1_VERSION, SSL.TLS1_1_VERSION, SSL.TLS1_2_VERSION):
                with self.assertRaises(SSL.Error):
                    raw.connect(self.host, self.control, tls=True, sni=sni, newest=newest)

    def test_command(self) -> None:
        """The command that asks all of them wants to know about whom."""
        code, _, err = self.run_python("-m", "tests.hostile.judges")
        self.assertEqual((code, "HOST:PORT" in err), (2, True))

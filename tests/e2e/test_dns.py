"""A mapping with `protocol: udp` between real processes, for a real DNS server and a real resolver's questions."""

from __future__ import annotations

import getpass
import re
import subprocess

from tests.e2e.harness import Program, TunnelTestCase, need
from tests.processes import DEADLINE

BIG = " ".join(f"word{number}" for number in range(35))
"""A text of almost 255 characters: ten of them make an answer that DNS without EDNS would not take by UDP."""


class DnsTests(TunnelTestCase):
    """dnsmasq behind a client; dig asks at the server's public port."""

    def setUp(self) -> None:
        super().setUp()
        self.dig_program = need("dig", "bind9-dnsutils")
        self.dnsmasq = need("dnsmasq", "dnsmasq-base")
        self.behind = self.port()

    def serve(self) -> Program:
        """Start the DNS server."""
        words = [
            "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--no-ping", "--bind-interfaces",
            f"--listen-address={self.host}", f"--port={self.behind}", f"--user={getpass.getuser()}",
            "--pid-file", "--host-record=one.test,192.0.2.1", f"--txt-record=big.test{f',{BIG}' * 10}",
            "--edns-packet-max=8192",
        ]  # fmt: skip
        program = self.launch("dnsmasq", [self.dnsmasq, *words])
        program.wait_for("started, version")
        return program

    def dig(self, port: int, *words: str) -> str:
        """Ask, once; return what dig says."""
        where = [f"@{self.host}", "-p", str(port), "+tries=1", "+time=5", "+noidnin", "+noidnout"]
        done = subprocess.run(
            [self.dig_program, *where, *words], capture_output=True, text=True, timeout=DEADLINE, check=False
        )
        return done.stdout

    def test_dns(self) -> None:
        """Names are answered through the tunnel by UDP, long answers too, and by TCP at the same number; each question
        is a flow that ends when it is quiet, with its line in both logs. Without a DNS server the flow is refused, as
        its system says; the next question finds the new one. `status` and `doctor` say what they know."""
        dns = self.serve()
        public = self.port()
        server = self.server(allow_udp_ports=[public])
        common = {"local": f"{self.host}:{self.behind}", "remote": public}
        path = self.write("client.yaml", {"client": {
            "name": "edge", "token": self.token, "server_addr": f"{self.host}:{self.control}", "drain_timeout": 1,
            "mappings": [{"name": "dns", "protocol": "udp", "idle": 1, **common}, {"name": "dns-tcp", **common}],
        }})  # fmt: skip
        client = self.role("client", ["--config", path])
        client.wait_for(f"mapping dns open: visitors of .*:{public}/udp reach")
        client.wait_for("mapping dns-tcp open")
        self.assertEqual(self.dig(public, "+notcp", "+short", "one.test", "A"), "192.0.2.1\n")
        big = self.dig(public, "+notcp", "+ignore", "+bufsize=4096", "big.test", "TXT")
        self.assertEqual(big.count("word34"), 10, big)
        self.assertIn("(UDP)", big)
        self.assertEqual(self.dig(public, "+tcp", "+short", "one.test", "A"), "192.0.2.1\n")
        for program in (server, client):
            program.wait_for(r"of dns ended: quiet \(idle\), \d+ bytes up, \d+ down", times=2)
        doctor = self.doctor(path)
        self.assertIn("whether a service answers there, only its own protocol can tell", doctor)
        dns.stop()
        self.dig(public, "+notcp", "+time=1", "one.test", "A")
        for program in (server, client):
            program.wait_for(r"of dns ended: refused \(port_unreachable\)")
        self.assertIn("its system says that nobody listens there", self.doctor(path))
        self.serve()
        self.assertEqual(self.dig(public, "+notcp", "+short", "one.test", "A"), "192.0.2.1\n")

    def doctor(self, path: object) -> str:
        """Return what the doctor finds, as one line of text."""
        _, said, complaints = self.run_python("-m", "gotunnel", "doctor", "-c", str(path))
        self.assertNotIn("Traceback", complaints)
        return re.sub(r"\s+", " ", said)

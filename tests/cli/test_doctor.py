"""What `gotunnel doctor` says of certificates and logins, without a network."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

from cryptography import x509
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.address import HostPort
from gotunnel.cli.doctor import client
from gotunnel.cli.doctor.findings import Finding, as_json, problem
from gotunnel.cli.doctor.login import Login
from gotunnel.cli.doctor.machine import server_descriptors
from gotunnel.cli.doctor.names import judge_apiserver, judge_kubelet, kubeadm_cure
from gotunnel.cli.doctor.throughput import NotMeasured, Rate
from gotunnel.cli.doctor.verdict import judge
from gotunnel.cli.doctor.wish import Wish
from gotunnel.config.model import ClientConfig
from gotunnel.errors import AuthRejected, RemoteProtocolError
from gotunnel.net import choice
from gotunnel.wire.handshake import Established
from gotunnel.wire.messages import AuthOk, Challenge, Limits
from tests.certificates import Authority
from tests.plugins.places import PlaceTestCase

ACME = '''
def acme(reactor, options, dial_timeout, descriptors):
    raise GotunnelError("relay: acme cannot run here")

relay = Plugin(IRelay, "acme", acme)
'''
NOW = datetime.datetime.now(datetime.timezone.utc)
DAY = datetime.timedelta(days=1)
AT = HostPort("192.0.2.1", 17000)
CONFIG = ClientConfig(name="edge", token="7f3a9c51e8d24b60af17c3925be8d046", server_addr=AT, local_ports=(1,))


class CertificateTests(SynchronousTestCase):
    """Certificates of an authority."""

    def setUp(self) -> None:
        """Make the authority."""
        folder = Path(self.mktemp())
        folder.mkdir()
        self.authority = Authority(folder)

    def chain(self, *names: str, **more: object) -> tuple[x509.Certificate, ...]:
        """Issue one."""
        return tuple(x509.load_pem_x509_certificates(self.authority.issue(*names, **more)[0].read_bytes()))  # type: ignore[arg-type]

    def test_the_flag_keeps_what_was_added(self) -> None:
        """kubeadm makes the certificate anew: its own names need not be said, all others must."""
        has = ["kubernetes", "kubernetes.default.svc", "kubernetes.default.svc.corp", "10.1.0.1"]
        cure = kubeadm_cure(["a.example"], has)
        self.assertIn("kubeadm init --apiserver-cert-extra-sans a.example;", cure)
        every = "a.example,kubernetes.default.svc.corp,10.1.0.1"
        self.assertIn(f"certs apiserver --apiserver-cert-extra-sans {every}, then", cure)

    def test_the_flag_is_never_cut(self) -> None:
        """With a hundred names it still holds all, and what is no name of a host is not in it."""
        many = [f"name-{number}.example.com" for number in range(100)]
        (found,) = judge_apiserver("x", self.chain("kubernetes", *many)[0], ("a.example",), NOW)
        self.assertIn(f" a.example,{','.join(many)}, then restart", found.cure)
        self.assertIn("and 85 more", found.message)
        self.assertNotIn("rm -rf", kubeadm_cure(["a.example"], ["x;rm -rf /", "$(rm -rf)"]))

    def test_no_name_asked_for(self) -> None:
        """The names are listed, and nothing is a problem."""
        (found,) = judge_apiserver("x", self.chain("kubernetes")[0], (), NOW)
        self.assertEqual(found.status, "note")
        self.assertIn("--name", found.message)

    def test_dates(self) -> None:
        """Expired is a problem, and what will be soon is a warning."""
        shown = self.chain("a.example", last=5)[0]
        self.assertEqual([f.status for f in judge_apiserver("x", shown, ("a.example",), NOW)], ["warning", "ok"])
        found = judge_apiserver("x", shown, ("a.example",), NOW + 6 * DAY)
        self.assertEqual([f.status for f in found], ["problem", "ok"])

    def test_a_kubelet_of_its_own_making(self) -> None:
        """Nobody can verify it: a warning, unless an authority is named, by which it is a problem."""
        shown = self.chain("worker-1", self_signed=True)
        (found,) = judge_kubelet("x", shown, (), None, NOW)
        self.assertEqual((found.status, "serverTLSBootstrap" in found.cure), ("warning", True))
        (found,) = judge_kubelet("x", shown, (), self.authority.file, NOW)
        self.assertEqual((found.status, "the node itself" in found.message), ("problem", True))

    def test_a_kubelet_with_another_name(self) -> None:
        """It verifies, and kube-apiserver asks for it by an address that it is not for."""
        (found,) = judge_kubelet("x", self.chain("worker-1"), ("10.0.0.1",), self.authority.file, NOW)
        self.assertEqual((found.status, "no SAN 10.0.0.1" in found.message), ("problem", True))

    def test_clocks(self) -> None:
        """A clock outside of the certificate's dates is told; the token vouches for the server all the same."""
        shown = self.chain("a.example")[0]
        for now, status in ((NOW, "ok"), (NOW - 3 * DAY, "warning"), (NOW + 40 * DAY, "warning")):
            found = judge(CONFIG, AT, Login(shown, AuthRejected("name_in_use", "")), now)
            self.assertEqual({f.check: f.status for f in found}, {"tls": "ok", "login": "ok", "clock": status})


class FigureTests(SynchronousTestCase):
    """What was measured, in findings."""

    def found(self, check: str, **figures: Any) -> Finding:
        """Return what is said of one of them."""
        limits = Limits(1, 1, 1)
        challenge = Challenge(2, bytes(16), bytes(32), ("measure",))
        established = Established(b"", b"", AuthOk(bytes(32), 10, 30, limits), challenge)
        login = Login(None, None, established, **figures)
        (found,) = [each for each in judge(CONFIG, AT, login, NOW) if each.check == check]
        return found

    def test_skew(self) -> None:
        """A difference counts when it is more than MOST_SKEW beyond what the way of the message explains."""
        for skew, status, words in (
            ((0.25, 0.01), "ok", "0.250 s ahead of"), ((-4.9, 0.01), "ok", "4.900 s behind"),
            ((5.5, 1.0), "ok", "within 1.000 s"), ((5.5, 0.1), "warning", "NTP"), ((-3600.0, 0.1), "warning", "behind"),
        ):  # fmt: skip
            found = self.found("clock", skew=skew)
            self.assertEqual((found.status, words in str(found)), (status, True), str(found))

    def test_throughput(self) -> None:
        """Megabits a second, from bytes and seconds; what has not arrived is no rate."""
        up, down = Rate(2_500_000, 2.0), Rate(25_000_000, 0.5)
        found = self.found("throughput", throughput=(up, down))
        self.assertIn("10.0 Mbit/s up (2.4 MiB in 2.00 s), 400.0 Mbit/s down (23.8 MiB in 0.50 s)", found.message)
        for rates, way in (((Rate(9, 2.0, False), down), "up"), ((up, Rate(0, 5.0, False)), "down")):
            found = self.found("throughput", throughput=rates)
            self.assertEqual((found.status, f"bytes {way}, not all" in found.message), ("warning", True))
        found = self.found("throughput", throughput=NotMeasured("refused (limit)"))
        self.assertEqual((found.status, found.message), ("note", "not measured: refused (limit)"))


class RelayTests(PlaceTestCase):
    """A relay that cannot be had here."""

    def found(self, relay: object) -> list[Finding]:
        """Return what is found of a client that wants it; nothing is connected."""
        whole = {"name": "edge", "token": CONFIG.token, "server_addr": AT, "local_ports": (1,), "transport": "tcp"}
        config = ClientConfig.model_validate({**whole, "relay": relay})
        found: list[Finding] = self.successResultOf(
            Deferred.fromCoroutine(client._check_server(MemoryReactorClock(), config, AT, Wish()))
        )
        return [each for each in found if each.check == "relay"]

    def test_unfit(self) -> None:
        """It is a problem whose cure is said once, in the line as in the object."""
        self.patch(choice, "_obstacle", lambda: "needs Linux")
        (found,) = self.found("fast")
        self.assertEqual(str(found), "problem relay: relay: fast cannot be had here: it needs Linux; write relay: auto")
        self.assertEqual((found.status, found.cure), ("problem", "write relay: auto"))
        self.assertNotIn(found.cure, found.message)

    def test_plugin(self) -> None:
        """One of others that refuses to run is a finding among all the others, too, and not the end of the report."""
        self.module(self.place(), "acme", ACME)
        (found,) = self.found({"plugin": "acme"})
        self.assertEqual(str(found), "problem relay: relay: acme cannot run here; correct client.relay")


class FindingTests(SynchronousTestCase):
    """Lines and objects."""

    def test_nobody_forges_a_line(self) -> None:
        """What a peer says stays in its line."""
        found = judge(CONFIG, AT, Login(None, RemoteProtocolError("\x1b[2J\nok", "closed")))
        self.assertNotRegex("".join(map(str, found)), r"[\x00-\x1f]")

    def test_each_refusal_has_a_cure(self) -> None:
        """Also one that no version of ours says."""
        for error in (AuthRejected("auth_failed"), AuthRejected("new"), RemoteProtocolError("x", "closed")):
            (found,) = judge(CONFIG, AT, Login(None, error))
            self.assertEqual((found.status, bool(found.cure)), ("problem", True))

    def test_objects(self) -> None:
        """Programs read these keys."""
        (found,) = json.loads(as_json([problem("c", "m", "u")]))
        self.assertEqual(list(found.items()), [("check", "c"), ("status", "problem"), ("message", "m"), ("cure", "u")])

    def test_descriptors(self) -> None:
        """A server that promises more visitors than there can be."""
        (found,) = server_descriptors(1_000_000)
        self.assertEqual((found.check, found.status), ("nofile", "problem"))
        self.assertNotEqual(server_descriptors(1)[0].status, "problem")

"""`gotunnel doctor` in Chinese; what is for programs stays English."""

from __future__ import annotations

import datetime
import json
import re
from pathlib import Path

from cryptography import x509
from rich.cells import cell_len
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.address import HostPort
from gotunnel.cli.doctor import command, machine, verdict, way
from gotunnel.cli.doctor.findings import CHECKS, STATES, Finding, ok, problem, subject
from gotunnel.cli.doctor.login import Login
from gotunnel.cli.doctor.names import judge_apiserver, judge_kubelet
from gotunnel.cli.doctor.server import check_server
from gotunnel.cli.doctor.throughput import NotMeasured, Rate
from gotunnel.cli.doctor.verdict import judge
from gotunnel.cli.doctor.wish import Wish
from gotunnel.cli.main import main
from gotunnel.config.model import ClientConfig, ServerConfig
from gotunnel.errors import AuthRejected, RemoteProtocolError, Sentence
from gotunnel.i18n.language import language
from gotunnel.logs import level, set_level
from tests.certificates import Authority
from tests.cli.runner import Runner

ZH = language("zh")
NOW = datetime.datetime.now(datetime.timezone.utc)
AT = HostPort("192.0.2.1", 17000)
TOKEN = "7f3a9c51e8d24b60af17c3925be8d046"
CONFIG = ClientConfig(name="edge", token=TOKEN, server_addr=AT, local_ports=(1,))
FILE = f"client:\n  server_addr: 192.0.2.1\n  name: edge\n  token: {TOKEN}\n  local_ports: [1]\n"
NAMES = re.compile(
    r"`[^`]*`|(?:client|server)\.[\w.]+(?:: required| 是 off)?|tls\.mode: required|tls\.\w+|tls: |client_ca|"
    r"kube-apiserver|kubeadm init(?: phase certs)?|kubeadm|kubelet|--[a-z-]+|FILE|[a-z]+\.example|CN=[^,，；]*|"
    r"sha256:\S*|Mbit/s|MiB|PROXY|UTC|SAN|TLS|MTU|NTP|ping|DNS|LimitNOFILE|systemd|nofile|edge|/\S+|gotunnel|worker-1|"
    r"shell|serverTLSBootstrap: true|apiserver\S*|auth_failed|name_in_use|leg_lost|timeout\b"
)
"""What an operator copies, or what has no other name."""


class FindingTests(SynchronousTestCase):
    """Lines of findings."""

    def assert_chinese(self, findings: list[Finding]) -> None:
        """See to it that no English is left but names, figures and commands, and that JSON would be English."""
        self.assertTrue(findings)
        for finding in findings:
            line = finding.said(ZH)
            self.assertIsNone(re.search("[A-Za-z]{3,}", NAMES.sub("", line)), line)
            self.assertIsNone(re.search("[\u4e00-\u9fff]", str(finding)), line)

    def test_words(self) -> None:
        """Each check and each state has a word, and findings begin in one column of cells."""
        for word in (*CHECKS, *STATES):
            self.assertRegex(ZH.sentence(word), "[\u4e00-\u9fff]", word)
        lines = [Finding("leg", state, "run it again").said(ZH) for state in ("ok", "note", "warning", "problem")]
        self.assertEqual({cell_len(line[: line.index("支路")]) for line in lines}, {8})
        self.assertEqual(lines[-1], "问题    支路：请再运行一次")
        self.assertEqual(str(Finding("leg", "problem", "x", "y")), "problem leg: x; y")

    def test_subject(self) -> None:
        """What has a name keeps it, whatever it is called, and is the English key of a program."""
        check = subject("mapping", "run it again")
        self.assertEqual(problem(check, "run it again", "raise `ulimit -n`").said(ZH),
                         "问题    映射 run it again: 请再运行一次；请提高 `ulimit -n`")  # fmt: skip
        self.assertEqual(check, "mapping run it again")

    def test_login(self) -> None:
        """All that a login means, with and without what it has measured."""
        folder = Path(self.mktemp())
        folder.mkdir()
        authority = Authority(folder)
        (shown,) = x509.load_pem_x509_certificates(authority.issue("a.example", last=5)[0].read_bytes())
        up, down = Rate(2_500_000, 2.0), Rate(25_000_000, 0.5)
        late = Sentence("no answer within {timeout:g} s", timeout=5)
        refusals = [AuthRejected("auth_failed"), RemoteProtocolError(late, "timeout")]
        logins = [Login(shown, refused) for refused in (*refusals, AuthRejected("name_in_use"))]
        logins += [
            Login(shown, round_trips=(0.01, 0.02), skew=skew, leg=leg, throughput=throughput)
            for skew, leg, throughput in [
                ((0.25, 0.01), 0.01, (up, down)),
                ((-90.0, 0.01), refusals[1], (Rate(9, 2.0, False), down)),
                (None, 0.01, (up, Rate(0, 5.0, False))),
                (None, 0.01, NotMeasured(Sentence("{outcome}{code} after {count} bytes",
                                                  outcome=Sentence.word("leg_lost"), code="", count=4))),
            ]
        ]  # fmt: skip
        tls = CONFIG.tls
        for kept in (tls, tls.model_copy(update={"ca": authority.file}), tls.model_copy(update={"mode": "off"}),
                     tls.model_copy(update={"ca": authority.file, "pin": ("sha256:x",)})):  # fmt: skip
            for login in logins:
                for now in (NOW, NOW + datetime.timedelta(days=40), NOW - datetime.timedelta(days=40)):
                    self.assert_chinese(judge(CONFIG.model_copy(update={"tls": kept}), AT, login, now))
        said = judge(CONFIG, AT, logins[3], NOW)[-1].said(ZH)
        self.assertIn("吞吐量：上行 10.0 Mbit/s（2.4 MiB，用时 2.00 秒），下行 400.0 Mbit/s", said)

    def test_cures(self) -> None:
        """Each cure that is looked up by a code."""
        for table in (verdict.LOGIN_CURES, way.CURES):
            for cure in table.values():
                self.assert_chinese([problem("leg", "run it again", cure)])
        self.assert_chinese([problem("leg", "run it again", verdict.LOST_CURE)])
        self.assert_chinese([problem("leg", "run it again", verdict.TLS_CURE)])

    def test_kubernetes(self) -> None:
        """Certificates of a kube-apiserver and of kubelets; the flags are to be copied."""
        folder = Path(self.mktemp())
        folder.mkdir()
        authority = Authority(folder)

        def chain(*names: str, **more: bool) -> tuple[x509.Certificate, ...]:
            return tuple(x509.load_pem_x509_certificates(authority.issue(*names, **more)[0].read_bytes()))

        good, own = chain("a.example"), chain("worker-1", self_signed=True)
        for names in ((), ("a.example",), ("b.example",)):
            self.assert_chinese(judge_apiserver("nofile", good[0], names, NOW))
            for shown in (good, own):
                for ca in (None, authority.file):
                    self.assert_chinese(judge_kubelet("nofile", shown, names, ca, NOW))
        (found,) = judge_apiserver("nofile", good[0], ("b.example",), NOW)
        self.assertIn("kubeadm init --apiserver-cert-extra-sans b.example ；", found.said(ZH))
        (found,) = judge_kubelet("nofile", own, (), authority.file, NOW)
        self.assertIn("自签名证书", found.said(ZH))

    def test_server(self) -> None:
        """A server's section, whose port any free one is: nothing is knocked at."""
        state = self.mktemp()
        Path(state).mkdir()
        for tls in ("required", "off"):
            config = ServerConfig.model_validate({"addr": "127.0.0.1:0", "tls": {"mode": tls}})
            found = self.successResultOf(Deferred.fromCoroutine(check_server(Clock(), config, state, Wish())))
            self.assertEqual([each.check for each in found], ["nofile", "certificate", "clients", "port"])
            self.assert_chinese(found)
        self.assert_chinese(machine.server_descriptors(10**9) + machine.client_descriptors())


class CommandTests(SynchronousTestCase):
    """The command."""

    def setUp(self) -> None:
        """The command sets the level of the log, of this whole process."""
        self.addCleanup(set_level, level())

    def run_it(self, *words: str) -> str:
        """Run it in Chinese, with findings that nobody looked for."""
        file = Path(self.mktemp())
        file.write_text(FILE)
        said = Sentence("{target} is healthy", target=AT)
        found = [ok(subject("mapping", "web"), said), problem("leg", "run it again", "raise `ulimit -n`")]
        self.patch(command, "_run", lambda *_: found)
        done = Runner().invoke(main, ["doctor", "--config", str(file), *words], env={"GOTUNNEL_LANG": "zh"})
        self.assertEqual(done.exit_code, 1, done.output)
        return done.stdout

    def test_said(self) -> None:
        """It speaks the language of the environment."""
        lines = ["正常    映射 web: 192.0.2.1:17000 健康", "问题    支路：请再运行一次；请提高 `ulimit -n`"]
        self.assertEqual(self.run_it().splitlines(), lines)

    def test_for_programs(self) -> None:
        """--json stays English."""
        first, second = json.loads(self.run_it("--json"))
        self.assertEqual(first, {"check": "mapping web", "status": "ok", "message": f"{AT} is healthy", "cure": ""})
        self.assertEqual(list(second.values()), ["leg", "problem", "run it again", "raise `ulimit -n`"])

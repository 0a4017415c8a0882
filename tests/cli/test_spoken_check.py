"""`gotunnel check` in Chinese: what a file would open and dial."""

from __future__ import annotations

import re

from gotunnel.cli.main import main
from gotunnel.config.explain import explain
from gotunnel.config.identityfile import FileIdentity, JoinConfig
from gotunnel.i18n.language import language
from tests.cli.runner import Runner
from tests.config.files import FileTestCase

ZH = language("zh")
TOKENS = [f"{number}f3a9c51e8d24b60af17c3925be8d046" for number in range(5)]
SERVER = f"""server:
  token: {TOKENS[0]}
  allow_dial: [10.0.0.0/8:443]
  allow_groups: [api]
  allow_nodes: ['worker-*']
  egress: {{listen: 'unix:/run/e', default: direct}}
  v1: {{enabled: true, token: {TOKENS[1]}, allow_ports: [10250]}}
  admin: {{enabled: true, addr: 127.0.0.1:1}}
  clients:
  - {{name: office, token: {TOKENS[2]}, allow_bind: [127.0.0.1, 10.0.0.1], allow_dial: [], allow_groups: [],
      limits: {{visitors: 9, pending: 3, legs: 5, mappings: 2}}}}
  - {{name: out, token: {TOKENS[3]}, disabled: true}}
"""
CLIENT = f"""client:
  name: edge
  token: {TOKENS[0]}
  servers: [a.example, 10.0.0.1]
  tls: {{ca: c.pem, pin: 'sha256:{"A" * 43}=', cert: c.pem, key: c.pem}}
  admin: {{enabled: false}}
  mappings:
  - {{name: web, local: 80, remote: 8080, encrypt: false, proxy_protocol: v2}}
  - {{name: api, local: 6443, remote: '10.0.0.1:6443', group: g, clients: ['w-*'],
      health: {{type: http, path: /healthz}}}}
  - {{name: priv, local: 6443, public: false, clients: ['w-*']}}
  forwards: [{{listen: 7443, dial: 'mapping:home/api'}}]
  nodes: [{{match: [node, 10.0.0.1], allow_ports: [10250], dial: 127.0.0.1}}]
  egress: {{listen: 'unix:/run/e2'}}
"""
NAMES = re.compile(
    r"unix:\S*|'\w+'|server\.v1\.enabled|client\.v1|encrypt: false|为 false|mapping:\S*|a\.example|/\S+\.pem|"
    r"sha256:\S*|http /healthz|gotunnel(?: status)?|TLS|PROXY|HTTP|UTC|\b(?:api|office|out|edge|node|worker|new|gone)\b"
)


class CheckTests(FileTestCase):
    """Lines of explanation."""

    def lines(self, text: str, *filed: FileIdentity) -> list[str]:
        """Return them in Chinese, after a look for English that is no name."""
        self.write("c", "c.pem")
        english = explain(self.load(text), filed)
        lines = [ZH.sentence(line) for line in english]
        for line in lines:
            self.assertIsNone(re.search("[A-Za-z]{3,}", NAMES.sub("", line)), line)
        self.assertIsNone(re.search("[\u4e00-\u9fff]", "".join(english)))
        return lines

    def test_server(self) -> None:
        """All of a server, and clients of its clients file."""
        key = bytes(range(32))
        once = JoinConfig(key=key, expires=1_800_000_000)
        filed = (FileIdentity(name="new", keys=(key, key[::-1]), join=once, expires=1_900_000_000),
                 FileIdentity(name="gone", keys=()))  # fmt: skip
        lines = self.lines(SERVER, *filed)
        self.assertEqual(lines[0], "服务端：在 0.0.0.0:17000 上等客户端，使用 TLS 和自己制作的证书")
        (office,) = [line for line in lines if "office" in line]
        self.assertEqual(
            office,
            "服务端：客户端 office 有自己的令牌；可以发布端口 1024-65535，只限在 127.0.0.1 和 10.0.0.1 上，"
            "不可以用正向转发到达任何地方，不可以在任何组中发布；最多有 2 个映射，5 条支路，9 位访客，3 位等待中的访客",
        )
        self.assertIn("一次性令牌（到 2027-01-15 08:00 UTC 为止）", "".join(lines))
        for more in ("  tls: {mode: off}\n", "  tls: {cert: c.pem, key: c.pem, client_ca: c.pem}\n",
                     "  allow_plain_legs: true\n", "  admin: {enabled: false}\n"):  # fmt: skip
            self.lines(f"server:\n  addr: 10.0.0.1:1\n  token: {TOKENS[0]}\n{more}")

    def test_client(self) -> None:
        """All of a client; names stay, also those that are words of ours elsewhere."""
        lines = self.lines(CLIENT)
        self.assertIn("由令牌，由 ", lines[0])
        self.assertIn(" 或 sha256:A", self.lines(CLIENT.replace("pin: ", f"pin: [sha256:{'B' * 43}=, ", 1).replace(
            "=', cert", "='], cert"))[0])  # fmt: skip
        (web,) = [line for line in lines if "'web'" in line]
        self.assertEqual(web, "客户端 edge: 把 127.0.0.1:80 以 'web' 之名发布在服务端的端口 8080, "
                              "外面没有 gotunnel 自己的 TLS, 前面附上访客的地址（PROXY 协议 v2）")  # fmt: skip
        self.assertIn("探测发现它还在（http /healthz，每 10 秒）", "".join(lines))
        plain = f"client:\n  server_addr: 10.0.0.1\n  name: edge\n  token: {TOKENS[0]}\n  local_ports: [1]\n"
        for more in ("  tls: {mode: off}\n", "", "  v1: true\n  tls: {mode: off}\n"):
            self.lines(plain + more)

    def test_command(self) -> None:
        """The command speaks the language of the environment."""
        path = self.write(f"server:\n  token: {TOKENS[0]}\n")
        words = ["check", str(path), "--state", str(self.folder)]
        for lang, first in (("zh", "服务端：在 "), ("en", "server: listens")):
            done = Runner().invoke(main, words, env={"GOTUNNEL_LANG": lang})
            self.assertEqual((done.exit_code, done.output[: len(first)]), (0, first), done.output)

    def test_two_tokens(self) -> None:
        """What is named twice is named in Chinese, whichever two or three of the ways these are."""
        self.write(TOKENS[1], "token")
        for keys, named in (
            ([f"token: {TOKENS[0]}"], "token 和 环境变量 GOTUNNEL_TOKEN 都给出了令牌"),
            (["token_file: token"], "token_file 和 环境变量 GOTUNNEL_TOKEN 都给出了令牌"),
            ([f"token: {TOKENS[0]}", "token_file: token"], "token、token_file 和环境变量 GOTUNNEL_TOKEN 都给出了令牌"),
        ):
            path = self.write("\n  ".join(["server:", *keys]))
            env = {"GOTUNNEL_LANG": "zh", "GOTUNNEL_TOKEN": TOKENS[2]}
            done = Runner().invoke(main, ["check", str(path)], env=env)
            self.assertIn(named, done.output)
            self.assertEqual(done.exit_code, 2)

"""Targets that are told the visitor's address by the PROXY protocol: nginx and HAProxy, as they are in the field."""

from __future__ import annotations

import socket
from typing import Any

from tests.e2e.harness import RELAY, TunnelTestCase, need, read_all
from tests.e2e.peers import haproxy, nginx
from tests.processes import DEADLINE

GET = b"GET / HTTP/1.0\r\n\r\n"


class ProxyProtocolTests(TunnelTestCase):
    """What a target knows of a visitor who comes from an address of his own."""

    def setUp(self) -> None:
        super().setUp()
        self.visitor = self.another_host()

    def ask(self, public: int) -> tuple[str, list[str]]:
        """Visit by HTTP; return our own address, and the words of the answer."""
        source = (self.visitor, 0)
        with socket.create_connection((self.host, public), DEADLINE, source_address=source) as connection:
            port = connection.getsockname()[1]
            connection.sendall(GET)
            head, _, body = read_all(connection).partition(b"\r\n\r\n")
        self.assertIn(b" 200 OK\r\n", head + b"\r\n")
        return f"{self.visitor} {port}", body.decode().split("|")

    def publish(self, *mappings: tuple[str, int, str, str], **keys: Any) -> list[int]:
        """Start server and client; return the public ports of these (name, target's port, version, health). Those whose
        name begins with `plain` travel outside TLS."""
        self.served_by = self.server(allow_plain_legs=True, **keys)
        ports = [self.port() for _ in mappings]
        section = [
            {
                "name": name, "local": f"{self.host}:{local}", "remote": remote, "proxy_protocol": version,
                "encrypt": not name.startswith("plain"), **({"health": health} if health else {}),
            }
            for (name, local, version, health), remote in zip(mappings, ports, strict=True)
        ]  # fmt: skip
        server = f"{self.host}:{self.control}"
        client = {"name": "client", "token": self.token, "server_addr": server, "mappings": section, **RELAY}
        self.published_by = self.role("client", ["--config", self.write("client.yaml", {"client": client})])
        return ports

    def test_nginx(self) -> None:
        """nginx takes both versions for its own clients' addresses, health checks included; the one that expects no
        header answers those with 400, which the log explains."""
        told, untold = self.port(), self.port()
        what = "$remote_addr $remote_port|$proxy_protocol_server_addr $proxy_protocol_server_port|$realip_remote_addr"
        nginx(
            self,
            f"  real_ip_header proxy_protocol; set_real_ip_from {self.host};\n"
            f"  set_real_ip_from 127.0.0.1;\n"
            f'  server {{ listen {self.host}:{told} proxy_protocol; location / {{ return 200 "{what}"; }} }}\n'
            f"  server {{ listen {self.host}:{untold}; location / {{ return 204; }} }}",
        )
        self.wait_until(lambda: not self.refused(untold), "nginx")
        ports = self.publish(
            ("one", told, "v1", "http"), ("plain-two", told, "v2", "http"), ("three", untold, "v2", "http")
        )
        for name, public in zip(("one", "plain-two"), ports, strict=False):
            self.published_by.wait_for(f"mapping {name} open")
            me, words = self.ask(public)
            self.assertEqual(words[:2], [me, f"{self.host} {public}"])
            self.assertNotEqual(words[2], self.visitor)
        self.published_by.wait_for("mapping three is down: it answers with status 400: perhaps it does not expect")

    def test_in_front(self) -> None:
        """HAProxy in front of the public port says whose connection it brings, and nginx behind the tunnel hears it.
        Its own health checks are nobody's."""
        front, target = self.port(), self.port()
        what = "$proxy_protocol_addr $proxy_protocol_port|$proxy_protocol_server_addr $proxy_protocol_server_port"
        listen = f"listen {self.host}:{target} proxy_protocol"
        nginx(self, f'  server {{ {listen}; location / {{ return 200 "{what}"; }} }}')
        self.wait_until(lambda: not self.refused(target), "nginx")
        (public,) = self.publish(("one", target, "v1", ""), proxy_from=["127.0.0.0/8"])
        self.published_by.wait_for("mapping one open")
        haproxy(self, f"{self.host}:{front}", f"{self.host}:{public} send-proxy-v2 check inter 100ms")
        self.wait_until(lambda: not self.refused(front), "HAProxy")
        self.served_by.wait_for("a balancer at 127.0.0.1:[0-9]+ checked whether one is open", 10)
        me, words = self.ask(front)
        self.assertEqual(words, [me, f"{self.host} {front}"])
        self.served_by.wait_for(f"visitor {me.replace(' ', ':')} connected to one of client client")
        self.assertNotIn("was closed: proxy_from names", self.served_by.said)
        self.assertEqual(self.served_by.count("visitor .* connected to one"), 2)  # this one, and who looked for HAProxy

    def test_haproxy(self) -> None:
        """HAProxy takes both versions, and of the second one the id that stands in the logs of both ends."""
        told = self.port()
        what = "%[src] %[src_port]|%[dst] %[dst_port]|%[fc_pp_unique_id]"
        config = f"""\
defaults
  mode http
  timeout client 1m
frontend told
  bind {self.host}:{told} accept-proxy
  http-request return status 200 content-type text/plain lf-string "{what}"
"""
        path = self.write("told.cfg", config)
        self.launch("haproxy", [need("haproxy"), "-db", "-f", path])
        self.wait_until(lambda: not self.refused(told), "HAProxy")
        ports = self.publish(("one", told, "v1", "tcp"), ("plain-two", told, "v2", "tcp"))
        for name, public in zip(("one", "plain-two"), ports, strict=True):
            self.published_by.wait_for(f"mapping {name} open")
            me, (came_from, came_to, unique) = self.ask(public)
            self.assertEqual((came_from, came_to), (me, f"{self.host} {public}"))
            line = self.served_by.wait_for(f"visitor {me.replace(' ', ':')} connected to {name} .*").group()
            self.assertIn(unique, line)
            self.assertEqual(bool(unique), name == "plain-two")

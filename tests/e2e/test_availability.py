"""Several servers for one client, as operators run them: a real HAProxy in front, one server killed under load; and
several servers behind one address, with HAProxy leading the legs by their server name."""

from __future__ import annotations

import re
import socket
import threading
import time
from typing import Any

from tests.e2e.harness import Program, TunnelTestCase, need, read_all
from tests.e2e.peers import Service, echo

VISITORS = 8
"""Who visit side by side, one connection after the other."""

DEFAULTS = """\
defaults
  mode tcp
  retries 2
  option redispatch 1
  timeout connect 2s
  timeout client 1m
  timeout server 1m
"""


class Load:
    """Visitors that connect, say something, hear it again and come back, until they are stopped. `results` has for each
    visit when it began, when it ended, and whether it was good."""

    def __init__(self, host: str, port: int) -> None:
        self.results: list[tuple[float, float, bool]] = []
        self._at = host, port
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(VISITORS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End it, and wait until the last visits are over."""
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def good_since(self, moment: float) -> int:
        """Count the good visits that began after a moment."""
        return sum(good and began > moment for began, _, good in tuple(self.results))

    def _run(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            good = self._visit()
            self.results.append((began, time.monotonic(), good))

    def _visit(self) -> bool:
        try:
            with socket.create_connection(self._at, 10) as visitor:
                visitor.sendall(b"ping" * 100)
                visitor.shutdown(socket.SHUT_WR)
                return read_all(visitor) == b"ping" * 100
        except OSError:
            return False


class AvailabilityTests(TunnelTestCase):
    """Two servers."""

    def setUp(self) -> None:
        super().setUp()
        self.hosts = {"a": self.host, "b": self.another_host()}
        self.public = self.port()

    def server_at(self, name: str, **keys: Any) -> Program:
        """Start one of the servers."""
        address = f"{self.hosts[name]}:{self.control}"
        return self.server(name=name, addr=address, **keys)

    def balancer(self, config: str) -> Program:
        """Start HAProxy."""
        path = self.write("haproxy.cfg", DEFAULTS + config)
        return self.launch("haproxy", [need("haproxy"), "-db", "-f", path])

    def test_one_is_killed(self) -> None:
        """Of two servers behind HAProxy one is killed under load: who was on it at that moment is lost, nobody else is;
        when it is back, the other one can be killed."""
        servers = {name: self.server_at(name) for name in self.hosts}
        service = Service(self, echo)
        addresses = [f"{host}:{self.control}" for host in self.hosts.values()]
        client = self.client({"web": (service.address, self.public)}, server_addr=None, servers=addresses)
        client.wait_for("mapping web open", times=2)
        front, port = self.another_host(), self.port()
        lines = "".join(f"  server {name} {host}:{self.public} check inter 100ms fall 1 rise 1\n"
                        for name, host in self.hosts.items())  # fmt: skip
        self.balancer(f"listen web\n  bind {front}:{port}\n  balance roundrobin\n{lines}")
        self.wait_until(lambda: not self.refused(port, front), "HAProxy listens")
        load = Load(front, port)
        self.addCleanup(load.stop)
        for opened, (victim, other) in ((3, ("a", "b")), (4, ("b", "a"))):
            self.wait_until(lambda: load.good_since(0) > 50, "it is under way")
            killed = time.monotonic()
            servers[victim].kill()
            self.wait_until(lambda moment=killed: load.good_since(moment) > 50, "served by the other one")  # type: ignore[misc]
            bad = [(began, ended) for began, ended, good in tuple(load.results) if not good and ended >= killed]
            # Who was there at that moment, and who came while the kernel was closing what it had: its listener last.
            self.assertLessEqual(len(bad), 2 * VISITORS)
            self.assertEqual([began for began, _ in bad if began > killed + 0.5], [])
            self.assertIsNone(servers[other].process.poll())
            first = min(ended for began, ended, good in tuple(load.results) if good and began > killed)
            count = len(load.results)
            self.figure(f"{len(bad)} visits of {count} lost, the first good one {first - killed:.3f} s later")
            servers[victim] = self.server_at(victim)
            client.wait_for("mapping web open", times=opened)
            servers[victim].wait_for("visitor .* ended: completed")  # HAProxy knows it, too
        load.stop()
        self.assertEqual(len(re.findall("connection to the server .* lost", client.said)), 2)

    def figure(self, text: str) -> None:
        """Keep a figure for who runs this to see it."""
        (self.folder / "figures").open("a").write(f"{text}\n")

    def test_same_server_twice(self) -> None:
        """Two addresses of one server, as a name has them for IPv4 and IPv6: one session, without a fight for it. A
        name that does not resolve hinders nobody."""
        server = self.server(addr=f"0.0.0.0:{self.control}")
        service = Service(self, echo)
        addresses = [*(f"{host}:{self.control}" for host in self.hosts.values()), "nowhere.invalid:1"]
        mapping = (service.address, f"{self.host}:{self.public}")
        client = self.client({"web": mapping}, server_addr=None, servers=addresses)
        client.wait_for("leads to the same server as .*: kept in reserve")
        client.wait_for("nowhere.invalid:1: the name does not resolve")
        self.assert_echo(self.public)
        # Whoever came first has it: at most one takes it from the other, when both began in the same moment.
        self.assertLessEqual(len(re.findall("connected to the server", client.said)), 2)
        server.kill()
        client.wait_for("connection to the server .* lost")
        self.server(addr=f"0.0.0.0:{self.control}")
        client.wait_for("mapping web open", times=len(re.findall("mapping web open", client.said)) + 1)
        self.assert_echo(self.public)

    def test_behind_one_address(self) -> None:
        """Two servers behind one address of HAProxy, which knows nothing of the tunnel: by `leg_name` each leg finds
        the server of its session."""
        servers = {name: self.server_at(name, leg_name=name) for name in self.hosts}
        front, port = self.another_host(), self.port()
        rules = "".join(f"  use_backend {name} if {{ req.ssl_sni -m end .{name}.legs.gotunnel }}\n" for name in servers)
        lines = {name: f"  server {name} {host}:{self.control}\n" for name, host in self.hosts.items()}
        backends = "".join(f"backend {name}\n{line}" for name, line in lines.items())
        self.balancer(
            f"frontend tunnel\n  bind {front}:{port}\n  tcp-request inspect-delay 5s\n"
            f"  tcp-request content accept if {{ req.ssl_hello_type 1 }}\n{rules}  default_backend any\n{backends}"
            f"backend any\n  balance roundrobin\n{''.join(lines.values())}"
        )
        self.wait_until(lambda: not self.refused(port, front), "HAProxy listens")
        service = Service(self, echo)
        clients = {}
        for number in range(4):
            public = self.port()
            clients[public] = self.client(
                {"web": (service.address, public)}, name=f"worker-{number}", server_addr=f"{front}:{port}"
            )
        for public, client in clients.items():
            host = next(host for host in self.hosts.values() if not self.refused(public, host))
            for _ in range(5):
                self.assert_echo(public, host)
            self.assertNotIn("a leg could not be brought", client.said)
        for server in servers.values():
            self.assertEqual(len(re.findall(r"client worker-\d connected", server.said)), 2)

"""The admin listeners on real sockets: what they tell, and what hostile requests get."""

from __future__ import annotations

import json
import os
import socket
import stat
from pathlib import Path
from typing import Any

from twisted.internet.threads import deferToThread

from gotunnel.address import HostPort
from gotunnel.admin import listener, web
from gotunnel.admin.api import Answer
from gotunnel.admin.listener import AdminService
from gotunnel.client.view import ClientView
from gotunnel.config.model import AdminConfig
from gotunnel.net.unixlisten import reachable
from gotunnel.server.service import ServerService
from gotunnel.server.switching import switch_mapping
from gotunnel.server.view import ServerView
from gotunnel.tap.acts import client_acts, server_acts
from gotunnel.tap.admin import common_acts
from tests.integration.base import IntegrationTestCase, reactor
from tests.ports import free_port

TOKEN = "c94e01b7d6f85a2338e07b1f6ad95c42"


class Answered:
    """What came back, taken apart."""

    def __init__(self, raw: bytes) -> None:
        head, _, body = raw.partition(b"\r\n\r\n")
        self.raw = raw
        self.status = int(head.split(b" ")[1]) if raw else 0
        self.head = head.lower()
        if b"transfer-encoding: chunked" in self.head:
            body = b"".join(_chunks(body))
        self.body = body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def _chunks(body: bytes) -> list[bytes]:
    found = []
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        found.append(body[:length])
        body = body[length + 2 :]
    return found


def talk(address: str | tuple[str, int], *pieces: bytes) -> Answered:
    """Say something and hear all of the answer, in a thread."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as sock:
        sock.settimeout(20)
        if isinstance(address, str):
            with reachable(address) as short:
                sock.connect(short)
        else:
            sock.connect(address)
        answer = b""
        try:
            for piece in pieces:
                sock.sendall(piece)
            while data := sock.recv(65536):
                answer += data
        except ConnectionError:
            pass
        return Answered(answer)


def request(method: str, path: str, *headers: str, body: bytes = b"", host: str = "127.0.0.1") -> bytes:
    """Return a request."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *headers]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


class AdminTestCase(IntegrationTestCase):
    """A server with its admin listeners."""

    async def begin(self, **config: Any) -> tuple[ServerService, AdminService]:
        """Start both."""
        server = await self.server()
        view = ServerView(server)
        acts = {**common_acts(server, view, reactor), **server_acts(server, view)}
        admin = AdminService(AdminConfig(**config), view, acts, reactor, self.folder)
        admin.startService()
        self.addCleanup(admin.stopService)
        return server, admin

    async def ask(self, admin: AdminService, *pieces: bytes, tcp: bool = False) -> Answered:
        """Say something to it."""
        where: Any = ("127.0.0.1", admin.address.port) if tcp else admin.path
        found: Answered = await deferToThread(talk, where, *pieces)
        return found

    async def get(self, admin: AdminService, path: str, *headers: str, tcp: bool = False, **more: Any) -> Answered:
        """GET it."""
        return await self.ask(admin, request("GET", path, *headers, **more), tcp=tcp)

    async def post(self, admin: AdminService, path: str, **wish: Any) -> Answered:
        """POST it, on the socket."""
        return await self.ask(admin, request("POST", path, body=json.dumps(wish).encode()))


class SocketTests(AdminTestCase):
    """The unix socket."""

    async def test_mode(self) -> None:
        """Only its user may open it, and it goes with the service."""
        _, admin = await self.begin()
        found = os.lstat(admin.path)
        self.assertTrue(stat.S_ISSOCK(found.st_mode))
        self.assertEqual((stat.S_IMODE(found.st_mode), Path(admin.path).name), (0o600, "gotunnel-server.sock"))
        await admin.stopService()
        self.assertFalse(os.path.lexists(admin.path))

    async def test_stale_and_taken(self) -> None:
        """A socket that a dead process has left is taken over. One that another process has is not: this one says so
        in one line, does without, and has it when the other is gone."""
        path = self.folder / "gotunnel-server.sock"
        with socket.socket(socket.AF_UNIX) as dead, reachable(str(path)) as short:
            dead.bind(short)
        self.patch(listener, "LISTEN_AGAIN", 0.05)
        _, first = await self.begin()
        self.assertTrue(first.listening)
        _, second = await self.begin()
        self.assertFalse(second.listening)
        await self.said("another program listens there")
        self.assertEqual((await self.get(second, "/v1/")).status, 200)  # the first one answers
        await first.stopService()
        await self.until(lambda: second.listening, "the second has it")
        self.assertEqual((await self.get(second, "/v1/")).status, 200)
        self.assertEqual(len([line for line in self.lines() if "cannot be queried" in line]), 1)

    async def test_no_folder(self) -> None:
        """Where there is no place for the socket the role runs all the same."""
        server, admin = await self.begin(socket=f"unix:{self.folder}/none/a.sock")
        self.assertFalse(admin.listening)
        await self.said("its folder does not exist")
        self.assertTrue(server.accepting)


class ApiTests(AdminTestCase):
    """What is told."""

    async def test_status(self) -> None:
        """A client, its mapping and a visitor are there with what they have carried; the counters agree."""
        server, admin = await self.begin()
        target, _ = await self.target()
        client = await self.open_client(server, self.mapping(target))
        peer = await self.echoes(self.port_of(client), b"hello")
        found = (await self.get(admin, "/v1/status")).json
        self.assertTrue(found["ready"])
        self.assertEqual([(each["name"], each["state"], each["streams"]) for each in found["sessions"]],
                         [("edge", "connected", 1)])  # fmt: skip
        self.assertEqual([(each["name"], each["state"], each["streams"]) for each in found["mappings"]],
                         [("web", "open", 1)])  # fmt: skip
        counters = found["counters"]
        self.assertEqual((counters["live"], counters["up"], counters["down"]), (1, 5, 5))
        (stream,) = (await self.get(admin, "/v1/streams?client=edge&limit=5")).json["streams"]
        self.assertEqual((stream["mapping"], stream["state"], stream["up"], stream["down"]), ("web", "open", 5, 5))
        self.assertEqual((await self.get(admin, "/v1/streams?client=nobody")).json, {"streams": []})
        usage = server.hub.usage
        self.assertEqual([sum(each.counts) for each in (usage.answer, usage.first_byte)], [1, 1])
        (said, *_) = (await self.get(admin, "/v1/events")).json["events"]
        self.assertIn("web", said["text"])
        kicked = await self.post(admin, "/v1/kick", stream=stream["conn"])
        self.assertEqual(kicked.json, {"stream": stream["conn"], "cut": 1})
        await self.until(lambda: peer.was_reset, "the visitor is reset")
        self.assertEqual((await self.get(admin, "/v1/counters")).json["counters"]["live"], 0)

    async def test_client(self) -> None:
        """A client shows its server, its mapping with the target, and its visitor; and leaves its server when told."""
        server = await self.server()
        target, _ = await self.target()
        client = await self.open_client(server, self.mapping(target))
        view = ClientView(client, reactor)
        acts = {**common_acts(client, view, reactor), **client_acts(client, view)}
        admin = AdminService(AdminConfig(), view, acts, reactor, self.folder)
        admin.startService()
        self.addCleanup(admin.stopService)
        self.assertEqual(Path(admin.path).name, "gotunnel-client-edge.sock")
        await self.echoes(self.port_of(client), b"hello")
        found = (await self.get(admin, "/v1/status")).json
        self.assertEqual([(each["state"], each["streams"]) for each in found["sessions"]], [("connected", 1)])
        (mapping,) = found["mappings"]
        self.assertEqual((mapping["state"], mapping["target"], mapping["streams"]), ("open", f"127.0.0.1:{target}", 1))
        self.assertEqual((found["counters"]["live"], found["counters"]["up"]), (1, 5))
        (stream,) = (await self.get(admin, "/v1/streams")).json["streams"]
        self.assertEqual((stream["state"], stream["down"]), ("open", 5))
        self.assertEqual(sum(client.usage.dial.counts), 1)
        await switch_mapping(server.hub, None, "web", off=True)
        await self.until(lambda: next(view.mappings()).state.value == "off", "the client knows")
        refused = await self.post(admin, "/v1/mapping", name="web", on=True)
        self.assertEqual(refused.status, 409)  # it stays off, and to say that it is on would be a lie
        self.assertRegex(refused.json["error"], r"web stays off: the server 127\.0\.0\.1:\d+ has switched it off")
        await switch_mapping(server.hub, None, "web", off=False)
        await self.until(lambda: next(view.mappings()).state.value == "open", "it is open again")
        self.assertEqual((await self.post(admin, "/v1/mapping", name="web", on=True)).status, 200)
        self.assertEqual((await self.get(admin, "/readyz")).status, 200)
        session = client.link.session
        self.assertEqual((await self.post(admin, "/v1/kick")).json, {"server": None, "cut": 1})
        await self.until(lambda: client.link.session is not session, "it left")
        await self.stop(server)
        await self.until(lambda: client.link.trouble, "it knows why")
        ready = await self.get(admin, "/readyz")
        self.assertEqual(ready.status, 503)
        self.assertIn("not connected", ready.json["findings"][0]["reason"])
        self.assertEqual((await self.get(admin, "/healthz")).status, 200)  # to start it anew would not help

    async def test_drain(self) -> None:
        """A drain that cuts somebody says how many, and readiness ends with its beginning."""
        server, admin = await self.begin()
        target, _ = await self.target()
        client = await self.open_client(server, self.mapping(target))
        await self.echoes(self.port_of(client), b"hello")
        begun = (await self.post(admin, "/v1/drain", seconds=0.5)).json
        self.assertEqual((begun["draining"], begun["over"], begun["joined"], begun["left"]), (True, False, False, 0.5))
        longer = (await self.post(admin, "/v1/drain", seconds=600)).json
        self.assertEqual((longer["joined"], longer["over"], longer["left"] <= 0.5), (True, False, True))
        shorter = (await self.post(admin, "/v1/drain", seconds=0.05)).json
        self.assertEqual((shorter["joined"], shorter["left"] <= 0.05), (True, True))
        self.assertEqual((await self.get(admin, "/readyz")).status, 503)

        async def look() -> Any:
            return (await self.post(admin, "/v1/drain")).json

        found = await look()
        while not found["over"]:
            await self.pause(0.02)
            found = await look()
        self.assertEqual((found["cut"], found["live"]), (1, 0))
        again = (await self.post(admin, "/v1/drain", seconds=600)).json
        self.assertEqual((again["over"], again["joined"], again["cut"], again["left"]), (True, True, 1, 0.0))
        server.source = lambda: server.hub.config
        reloaded = (await self.post(admin, "/v1/reload")).json
        self.assertFalse(reloaded["applied"])
        self.assertIn("draining, or has drained", reloaded["lines"][0])  # it goes on, and stops only when it is told to

    async def test_log_level(self) -> None:
        """The level is told, changed, and refused if there is none of that name."""
        _, admin = await self.begin()
        before = (await self.post(admin, "/v1/log-level")).json["level"]
        self.addCleanup(lambda: listener_set_level(before))
        changed = await self.post(admin, "/v1/log-level", level="warn")
        self.assertEqual(changed.json, {"level": "warn", "before": before})
        refused = await self.post(admin, "/v1/log-level", level="loud")
        self.assertEqual((refused.status, refused.json), (400, {"error": "level is one of debug, info, warn, error"}))

    async def test_metrics(self) -> None:
        """Prometheus' own parser reads them, and opened less closed is live."""
        from prometheus_client.parser import text_string_to_metric_families

        server, admin = await self.begin()
        target, _ = await self.target()
        client = await self.open_client(server, self.mapping(target))
        (await self.echoes(self.port_of(client), b"hello")).hang_up()
        await self.echoes(self.port_of(client), b"hello")
        await self.until(lambda: server.hub.live == 1, "one is over")
        answer = await self.get(admin, "/metrics")
        values: dict[str, float] = {}
        for family in text_string_to_metric_families(answer.body.decode()):
            for sample in family.samples:
                values[sample.name] = values.get(sample.name, 0.0) + sample.value
        self.assertEqual(values["gotunnel_streams_opened_total"], 2)
        self.assertEqual(values["gotunnel_streams_closed_total"], 1)
        self.assertEqual(values["gotunnel_streams_live"], 1)
        self.assertEqual((values["gotunnel_bytes_total"], values["gotunnel_sessions"]), (20, 1))
        self.assertEqual(values["gotunnel_first_byte_seconds_count"], 2)
        self.assertNotIn("edge", answer.body.decode())  # who names himself has no label

    async def test_no_such_thing(self) -> None:
        """What is not there, or cannot be done, is said in one line with a status that fits."""
        _, admin = await self.begin()
        for asked, status in (
            (request("GET", "/v1/nothing"), 404), (request("GET", "/x"), 404), (request("GET", "/v1/kick"), 405),
            (request("POST", "/v1/status", body=b"{}"), 405), (request("POST", "/nothing", body=b"{}"), 404),
            (request("POST", "/v1/kick", body=b"{}"), 400), (request("POST", "/v1/kick", body=b"[]"), 400),
            (request("POST", "/v1/kick", body=b"{" * 60000), 400),
            (request("POST", "/v1/kick", body=b'{"client": 7}'), 400),
            (request("POST", "/v1/kick", body=b'{"client": "nobody"}'), 404),
            (request("POST", "/v1/drain", body=b'{"seconds": -1}'), 400),
            (request("POST", "/v1/drain", body=b'{"seconds": NaN}'), 400),
            (request("POST", "/v1/drain", body=b'{"seconds": true}'), 400),
            (request("DELETE", "/v1/status"), 405), (request("GET", "/v1/sessions?evil=1"), 400),
            (request("GET", "/v1/streams?" + "limit=1&" * 30), 400),
            (request("POST", "/v1/log-level", body='{"level": "info"}'.encode("utf-16")), 400),
            (request("GET", "/v1/streams?limit=x"), 400), (request("GET", "/readyz?client=nobody"), 503),
            (request("GET", "/v1/?x=1"), 400), (request("GET", "/v1/status?client=a"), 400),
            (request("GET", "/v1/legs?client=a"), 400), (request("GET", "/v1/counters?x="), 400),
            (request("GET", "/healthz?client=a"), 400), (request("GET", "/readyz?server=a"), 400),
            (request("GET", "/metrics?x=1"), 400), (request("GET", "/v1/usage"), 404),
            (request("POST", "/v1/reload", body=b'{"file": "x"}'), 400),
            (request("POST", "/v1/drain", body=b'{"timeout": 1}'), 400),
            (request("POST", "/v1/log-level", body=b'{"levle": "warn"}'), 400),
            (request("POST", "/v1/kick", body=b'{"client": "nobody", "server": "x"}'), 400),
        ):  # fmt: skip
            answer = await self.ask(admin, asked)
            self.assertEqual(answer.status, status, asked[:60])
            self.assertTrue(answer.json.get("error") or status == 503, asked[:60])
        self.assertFalse(self.flushLoggedErrors())


def listener_set_level(name: str) -> None:
    """Undo a change of the log level."""
    from gotunnel.logs import set_level

    set_level(name)


class TokenTests(AdminTestCase):
    """The address, and those who do not know its token."""

    async def test_wrong_tokens(self) -> None:
        """Five from one address, and then none is looked at for ten seconds; the log and the metrics tell of it. The
        socket is not concerned."""
        _, admin = await self.begin(addr=HostPort("127.0.0.1", 0), token=TOKEN)
        wrong = "Authorization: Bearer " + "x" * 32
        said = [(await self.get(admin, "/metrics", wrong, tcp=True)).status for _ in range(7)]
        self.assertEqual(said, [401] * 5 + [429] * 2)
        await self.said("a wrong token for the dashboard or the API came from 127.0.0.1")
        told = (await self.get(admin, "/metrics")).body.decode()
        self.assertIn('gotunnel_authentication_failures_total{code="admin_token"} 5.0', told)
        self.assertIn('gotunnel_authentication_failures_total{code="admin_limit"} 2.0', told)

    async def test_two_hosts(self) -> None:
        """A request with two Host headers is refused, whatever they say and whatever it asks for: of the two a proxy
        may have judged the other one."""
        _, admin = await self.begin(addr=HostPort("127.0.0.1", 0))
        for tcp in (True, False):
            for path in ("/", "/session", "/page/main.js", "/healthz", "/metrics", "/v1/status"):
                for other in ("127.0.0.1", "localhost", "", "evil.example"):
                    found = await self.get(admin, path, f"HOST: {other}", tcp=tcp)
                    self.assertEqual((found.status, b"host" in found.body), (400, True), (path, other))
            body = request("POST", "/login", "Host: localhost", body=b"{}")
            self.assertEqual((await self.ask(admin, body, tcp=tcp)).status, 400)


class HostileTests(AdminTestCase):
    """The address, and who means harm."""

    async def tcp(self, **config: Any) -> AdminService:
        _, admin = await self.begin(addr=HostPort("127.0.0.1", free_port(self)), **config)
        return admin

    async def test_browser(self) -> None:
        """Another site's page gets nothing, by any trick that a browser has."""
        admin = await self.tcp()
        good = await self.get(admin, "/v1/status", tcp=True)
        self.assertEqual(good.status, 200)
        self.assertNotIn(b"access-control", good.head)
        self.assertIn(b"cache-control: no-store", good.head)
        self.assertEqual((await self.get(admin, "/v1/status", tcp=True, host="evil.example")).status, 421)
        self.assertEqual((await self.get(admin, "/v1/status", "Origin: http://evil.example", tcp=True)).status, 403)
        body = b'{"seconds": 0}'
        for headers in (("Origin: http://evil.example",), ()):
            asked = request("POST", "/v1/drain", *headers, body=body)
            self.assertEqual((await self.ask(admin, asked, tcp=True)).status, 403)
        form = request("POST", "/v1/drain", "Content-Type: text/plain", f"Content-Length: {len(body)}") + body
        self.assertEqual((await self.ask(admin, form, tcp=True)).status, 415)
        self.assertFalse(admin.api.face.draining)

    async def test_token(self) -> None:
        """Without the token there is nothing but a verdict; with it all."""
        admin = await self.tcp(token=TOKEN)
        answer = await self.get(admin, "/metrics", tcp=True)
        self.assertEqual((answer.status, b"www-authenticate: bearer" in answer.head), (401, True))
        self.assertEqual((await self.get(admin, "/readyz", tcp=True)).json, {"ready": True})
        right = f"Authorization: Bearer {TOKEN}"
        for name in ("edge", "nobody"):  # or a stranger would learn which clients there are
            self.assertEqual((await self.get(admin, f"/readyz?client={name}", tcp=True)).status, 401)
        self.assertEqual((await self.get(admin, "/readyz?client=nobody", right, tcp=True)).status, 503)
        self.assertEqual((await self.get(admin, "/metrics", right, "Authorization: Bearer x", tcp=True)).status, 400)
        self.assertEqual((await self.get(admin, "/metrics", right, "Host: evil.example", tcp=True)).status, 400)
        self.assertEqual((await self.get(admin, "/metrics", right, tcp=True)).status, 200)
        asked = request("POST", "/v1/log-level", right, body=b"{}")
        self.assertEqual((await self.ask(admin, asked, tcp=True)).status, 200)

    async def test_too_much(self) -> None:
        """Headers without end, too many of them, a long body and one of unknown length are not read to their end."""
        admin = await self.tcp()
        many = [f"X-{number}: y" for number in range(100)]
        for pieces, statuses in (
            ((b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000,), (400, 0)),
            ((request("GET", "/v1/status", *many),), (400,)),
            ((b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",), (400, 0)),
            ((request("POST", "/v1/kick", "Content-Length: 99999999"), b"x" * 300_000), (413, 0)),
            ((request("POST", "/v1/kick", "Transfer-Encoding: chunked"), b"5\r\nhello\r\n"), (411, 0)),
            ((b"\x16\x03\x01 not HTTP at all\r\n\r\n",), (400,)),
            ((request("GET", "/v1/", "Content-Length: 3", "Content-Length: 4"), b"abcd"), (400,)),
        ):
            answer = await self.ask(admin, *pieces, tcp=True)
            self.assertIn(answer.status, statuses, pieces[0][:60])
        self.assertEqual((await self.get(admin, "/v1/", tcp=True)).status, 200)
        self.assertFalse(self.flushLoggedErrors())

    async def test_one_request_each(self) -> None:
        """A second request on a connection is not answered: its limits are those of one."""
        admin = await self.tcp()
        answer = await self.ask(admin, request("GET", "/v1/") * 3, tcp=True)
        self.assertEqual(answer.raw.count(b"HTTP/1.1 200"), 1)

    async def test_slow(self) -> None:
        """Who says nothing, never finishes, or sends a piece now and then is cut when his time is over."""
        self.patch(web, "ASK_WITHIN", 0.3)
        admin = await self.tcp()
        long_body = request("POST", "/v1/drain", "Content-Type: application/json", "Content-Length: 50") + b"{"
        for said in ((), (b"GET /v1/ HTTP/1.1\r\nHost: 12",), (long_body,)):
            answer = await self.ask(admin, *said, tcp=True)
            self.assertEqual(answer.raw, b"")
        dripping = await self.connect(admin.address.port)
        for _ in range(100):
            if dripping.ended:
                break
            dripping.transport.write(b"X")
            await self.pause(0.05)
        self.assertTrue(dripping.ended)
        await self.until(lambda: not admin._far.channels, "nobody is left")

    async def test_never_reads(self) -> None:
        """Who has asked has longer, and is cut in the end if he does not read."""
        self.patch(web, "AT_MOST", 0.3)
        self.patch(web, "ASK_WITHIN", 0.1)
        admin = await self.tcp()
        admin.api._paths["/v1/long"] = lambda query: Answer({"long": iter(["x" * 10_000] * 2000)})
        peer = await self.connect(admin.address.port)
        peer.transport.pauseProducing()
        peer.transport.write(request("GET", "/v1/long"))
        await self.pause(0.2)
        self.assertEqual(len(admin._far.channels), 1)
        await self.until(lambda: not admin._far.channels, "he is cut")

    async def test_crowd(self) -> None:
        """Those who only connect keep nobody out: the oldest of them makes way, and never one who has asked; the socket
        has a limit of its own."""
        self.patch(listener, "MOST_CONNECTIONS", 3)
        admin = await self.tcp()
        crowd = [await self.connect(admin.address.port) for _ in range(4)]
        await self.until(lambda: crowd[0].ended, "the oldest is closed")
        self.assertEqual(len(admin._far.channels), 3)
        self.assertEqual((await self.get(admin, "/v1/", tcp=True)).status, 200)
        self.assertEqual([each.ended for each in crowd[2:]], [None, None])
        self.assertEqual((await self.get(admin, "/v1/")).status, 200)
        admin.api._paths["/v1/never"] = lambda query: Answer({"slow": iter(["x" * 10_000] * 2000)})
        for each in [await self.connect(admin.address.port) for _ in range(3)]:
            each.transport.pauseProducing()
            each.transport.write(request("GET", "/v1/never"))
        await self.until(lambda: [c.asked for c in admin._far.channels] == [True] * 3, "all have asked")
        self.assertEqual((await self.get(admin, "/v1/", tcp=True)).raw, b"")

"""Our client on a Go server: what it registers, what it dials, and when it comes back."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.monkey import MonkeyPatcher

from gotunnel.client.service import ClientService
from gotunnel.client.standing import Standing
from gotunnel.client.v1 import link as v1_link
from gotunnel.client.v1 import serving
from gotunnel.client.v1 import session as v1_client_session
from gotunnel.client.view import ClientView
from gotunnel.config.model import MappingConfig, TlsServerConfig, V1ServerConfig
from gotunnel.core import backoff
from gotunnel.core.outcome import Outcome
from gotunnel.errors import ConfigError, DialFailed
from gotunnel.net import v1control
from gotunnel.net.dialer import ServerPath, Unreachable
from gotunnel.net.raw import RawRelay
from tests.integration.base import TOKEN, Echo, reactor
from tests.v1.peers import V1_TOKEN, GoServer, GoTestCase, HalfOpen
from tests.v1.recording import NAME, events, payloads


class ClientTestCase(GoTestCase):
    """A test with a Go server of ours."""

    async def go_server(self, port: int | None = None, **more: Any) -> GoServer:
        """Start one."""
        server = GoServer(self, **more).start(port or self.free_port())
        self.addCleanup(server.stop)
        return server

    def v1_client(self, port: int, *mappings: MappingConfig, **config: Any) -> ClientService:
        """Start our client on it."""
        return self.client(port, *mappings, **{"token": V1_TOKEN, "v1": True, **config})

    def published(self, target: Any, name: str = "web", **more: Any) -> MappingConfig:
        """Return a mapping on a free port."""
        remote = more.pop("remote", None) or self.free_port()
        return MappingConfig.model_validate({"name": name, "local": target, "remote": remote, **more})

    async def opened(self, client: ClientService, *names: str) -> None:
        """Wait until mappings are open."""
        statuses = client.link.published.statuses
        await self.until(
            lambda: all(statuses[name].standing is Standing.OPEN for name in names or statuses), "open mappings"
        )

    def quick(self, first: float = 0.01, cap: float = 0.05) -> None:
        """Let links try again after some milliseconds."""
        self.patch(backoff, "LEAST_DELAY", first)
        self.patch(v1_link, "Backoff", lambda: backoff.Backoff(first=first, cap=cap))
        self.patch(v1_link, "REFUSED_PAUSE", first)

    def quick_link(self) -> None:
        """Let a client of version 2 try again after some milliseconds."""
        GoTestCase.quick(self)


class RegisterTests(ClientTestCase):
    """One control connection for each mapping."""

    async def test_each_its_own(self) -> None:
        """Two mappings register on two connections, in the contract's words, and each serves its own visitors."""
        server = await self.go_server()
        target, _ = await self.target()
        one, two = self.published(target, "one"), self.published("unix:/nowhere/sock", "two")
        client = self.v1_client(server.port, one, two)
        await self.opened(client)
        self.assertEqual(len(server.controls), 2)
        registers = sorted((m for wire in server.controls for m in wire.heard), key=lambda m: str(m["remote_port"]))
        self.assertEqual(
            {m["remote_port"]: m["local_port"] for m in registers},
            {one.remote_port: target, two.remote_port: two.remote_port},
        )
        for message in registers:
            self.assertEqual(
                set(message), {"type", "local_port", "remote_port", "protocol", "token", "name"}
            )
            self.assertEqual((message["type"], message["protocol"], message["name"]), ("register", "tcp", "edge"))
        await self.echoes(one.remote_port)
        await self.said("spoken to in version 1: the token and all traffic of visitors cross the network in clear")
        self.assertFalse(any(V1_TOKEN in str(event) for event in self.log))

    async def test_leg(self) -> None:
        """A leg's first frame is data_channel, and the visitor's bytes follow; the end is clean both ways."""
        server = await self.go_server()
        target, _ = await self.target()
        mapping = self.published(target)
        client = self.v1_client(server.port, mapping)
        await self.opened(client)
        visitor = await self.echoes(mapping.remote_port)
        self.assertEqual(
            server.legs[0].heard,
            [
                {
                    "type": "data_channel", "local_port": target, "remote_port": mapping.remote_port, "token": V1_TOKEN,
                    "name": "edge",
                }
            ],
        )  # fmt: skip
        visitor.transport.loseConnection()
        await self.said("of web ended: completed, 5 bytes up, 5 down")

    async def test_refused(self) -> None:
        """A refusal is logged in one line with its reason, and tried again later."""
        self.quick()
        server = await self.go_server(token="another")
        client = self.v1_client(server.port, self.published(8080))
        await self.said("mapping web refused by the server")
        await self.said("authentication failed")
        self.assertIs(client.link.published.statuses["web"].standing, Standing.REFUSED)
        server.token = V1_TOKEN
        await self.opened(client)

    async def test_pause_after_refusal(self) -> None:
        """A refusal that somebody must cure is not asked about in quick succession."""
        server = await self.go_server(token="another")
        self.v1_client(server.port, self.published(8080))
        await self.said("asking again for mapping web in")
        (line,) = [line for line in self.lines() if "asking again" in line]
        self.assertGreaterEqual(float(line.split()[-2]), 5.0)

    async def test_session_that_breaks_down(self) -> None:
        """A session that breaks down while it begins leaves nothing behind, and another one follows."""
        self.quick()
        server = await self.go_server()
        with MonkeyPatcher((v1_client_session, "hand_over", lambda *_: 1 / 0)):
            client = self.v1_client(server.port, self.published(8080))
            await self.until(lambda: self.flushLoggedErrors(ZeroDivisionError), "the breakdown")
            (link,) = client.links.links
            self.assertEqual((link.current, link.sessions), (None, ()))
        await self.opened(client)
        await self.until(lambda: server.controls[0].ended, "the end of the first connection")

    async def test_other_answers(self) -> None:
        """What is no register_resp, or none of version 1, is no ok."""
        self.quick()
        server = await self.go_server()
        for answer in ({"type": "pong", "time": 1}, {"type": "error", "code": "x", "reason": "y"}):
            server.answer = answer
            skip = len(self.lines())
            client = self.v1_client(server.port, self.published(8080))
            await self.said("not connected to the server", skip=skip)
            await self.stop(client)


class HostileServerTests(ClientTestCase):
    """G15 of the original: it dialled whatever the server named."""

    async def test_other_ports(self) -> None:
        """A server that names other ports of the client's machine gets zero dials and zero legs."""
        server = await self.go_server()
        target, _ = await self.target()
        other, dialled = await self.target()
        mapping = self.published(target)
        client = self.v1_client(server.port, mapping)
        await self.opened(client)
        for port in (other, 22, 1, 65535, mapping.remote_port):
            server.open(server.controls[0], port)
        await self.said("which this client does not have")
        await self.echoes(mapping.remote_port)  # in order, so the others were read before
        self.assertEqual((dialled, len(server.legs)), ([], 1))

    async def test_nonsense(self) -> None:
        """Port 0, a negative one, messages of other kinds and broken frames end the session, and it comes back."""
        self.quick()
        server = await self.go_server()
        target, dialled = await self.target()
        client = self.v1_client(server.port, self.published(target))
        for number, message in enumerate(
            (
                {"type": "open_data_channel", "local_port": -1}, {"type": "open_data_channel"},
                {"type": "register_resp", "status": "ok"}, {"type": "online_port", "port": 1}, {"type": "hello"},
            ),
            1,
        ):  # fmt: skip
            await self.until(lambda n=number: len(server.controls) == n, f"registration {number}")
            await self.opened(client)
            server.controls[-1].say(**message)
            await self.said("lost: protocol error", number)
        await self.opened(client)
        self.assertEqual(dialled, [])

    async def test_flood(self) -> None:
        """One that opens without end is served up to a limit; what is beyond is logged, and nothing is left."""
        self.patch(serving, "MOST_VISITORS", 10)
        server = await self.go_server()
        target, dialled = await self.target()
        client = self.v1_client(server.port, self.published(target))
        await self.opened(client)
        for _ in range(500):
            server.open(server.controls[0], target)
        await self.said("more than 10 visitors at a time")
        await self.until(lambda: len(server.legs) == 10, "ten legs")
        await self.pause(0.1)
        self.assertLessEqual(len(dialled), 10)
        self.assertLess(len([line for line in self.lines() if "more than 10" in line]), 20)


class TargetTests(ClientTestCase):
    """The targets, and their health."""

    async def test_refusing_target(self) -> None:
        """A target that refuses has its visitor told at once: by a leg that is reset, as there is no word for it."""
        server = await self.go_server()
        mapping = self.published(self.free_port())
        client = self.v1_client(server.port, mapping)
        client.usage.accounts.kept = True
        await self.opened(client)
        visitor = await self.connect(mapping.remote_port)
        await self.until(lambda: visitor.ended, "the visitor's end")
        await self.until(lambda: server.legs and server.legs[0].was_reset, "the reset of the leg")
        await self.said("visitor (unknown) of web did not reach its target")
        await self.until(lambda: client.usage.closed == 1, "he is counted")
        self.assertEqual((client.usage.live, client.usage.outcomes[Outcome.REFUSED]), (0, 1))
        (account,) = client.usage.accounts
        self.assertEqual((account.mapping, account.failures, account.here), ("web", 1, 0))
        self.assertEqual(client.links.published.statuses["web"].carried.ended, 1)
        self.assertEqual(sum(client.usage.dial.counts), 0)
        client.usage.accounts.drop(account)

    async def test_dialled_for(self) -> None:
        """Who waits for his target is counted and shown."""
        server = await self.go_server()
        mapping = self.published(self.free_port())
        client = self.v1_client(server.port, mapping)
        await self.opened(client)
        self.patch(RawRelay, "dial", lambda *_: Deferred())
        await self.connect(mapping.remote_port)
        await self.until(lambda: client.usage.live == 1, "he is counted")
        (seen,) = ClientView(client, reactor).streams
        self.assertEqual((seen.mapping, seen.state, seen.up, seen.down), ("web", "dialling", 0, 0))

    async def test_kicked_while_dialled_for(self) -> None:
        """A visitor whose target is being dialled can be kicked by the id that is shown. Its leg is reset, so that the
        server does not keep it waiting, and nothing is left of it."""
        server = await self.go_server()
        mapping = self.published(self.free_port())
        client = self.v1_client(server.port, mapping)
        await self.opened(client)
        dials: list[Deferred[Any]] = []
        cancelled: list[Any] = []

        def dial(*_: Any) -> Deferred[Any]:
            dials.append(Deferred(cancelled.append))
            return dials[-1]

        self.patch(RawRelay, "dial", dial)
        visitor = await self.connect(mapping.remote_port)
        await self.until(lambda: dials, "the dial")
        view = ClientView(client, reactor)
        (seen,) = view.streams
        self.assertTrue(view.kick(seen.conn))
        self.assertEqual(cancelled, dials)
        await self.until(lambda: visitor.ended, "the visitor's end")
        self.assertTrue(server.legs[0].was_reset)
        await self.until(lambda: client.usage.closed == 1, "it is counted")
        self.assertEqual((client.usage.live, client.usage.outcomes[Outcome.STOPPED]), (0, 1))
        self.assertEqual((list(view.streams), view.kick(seen.conn)), ([], False))

    async def test_kicked_while_its_leg_is_made(self) -> None:
        """A visitor whose target has answered but whose leg is still being made can be kicked, too: the target is
        reset, and the leg as soon as it is there."""
        server = await self.go_server()
        target, served = await self.target()
        mapping = self.published(target)
        client = self.v1_client(server.port, mapping)
        await self.opened(client)
        held: Deferred[None] = Deferred()
        greet_leg = ServerPath.greet_leg

        async def late(*args: Any, **more: Any) -> Any:
            await held
            return await greet_leg(*args, **more)

        self.patch(ServerPath, "greet_leg", late)
        visitor = await self.connect(mapping.remote_port)
        await self.until(lambda: served, "the target")
        view = ClientView(client, reactor)
        (seen,) = view.streams
        self.assertEqual(seen.state, "dialling")
        self.assertTrue(view.kick(seen.conn))
        held.callback(None)
        await self.until(lambda: visitor.ended and served[0].ended, "the end on both sides")
        self.assertTrue(server.legs[0].was_reset)
        self.assertTrue(served[0].was_reset)
        await self.until(lambda: client.usage.closed == 1, "it is counted")
        self.assertEqual((client.usage.live, client.usage.outcomes[Outcome.STOPPED]), (0, 1))

    async def test_leg_that_breaks_down(self) -> None:
        """A target is reset if something unforeseen happens while its leg is made."""
        server = await self.go_server()
        target, served = await self.target()
        client = self.v1_client(server.port, self.published(target))
        await self.opened(client)

        async def broken(*_: Any, **__: Any) -> Any:
            await self.until(lambda: served, "the target")
            return 1 / 0

        self.patch(ServerPath, "greet_leg", broken)
        server.open(server.controls[0], target)
        await self.until(lambda: client.usage.closed == 1, "it is counted")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        await self.until(lambda: served[0].ended, "the target's end")

    async def test_proxy_protocol(self) -> None:
        """Version 1 does not tell who the visitor is, and so the header does not either; his bytes come behind it."""
        server = await self.go_server()
        target, made = await self.target()
        mapping = self.published(target, proxy_protocol="v1")
        client = self.v1_client(server.port, mapping)
        await self.opened(client)
        visitor = await self.connect(mapping.remote_port)
        visitor.transport.write(b"hello")
        await self.until(lambda: made and len(made[0].received) >= 20, "header and bytes")
        self.assertEqual(made[0].received, b"PROXY UNKNOWN\r\nhello")
        self.assertEqual((client.usage.live, sum(client.usage.dial.counts)), (1, 1))

    async def test_health(self) -> None:
        """A target that goes has its port taken offline; when it is back the mapping is registered anew, and works."""
        self.quick()
        server = await self.go_server()
        target, _ = await self.target()
        mapping = self.published(target, health={"type": "tcp", "interval": 0.1, "timeout": 0.1, "failures": 1})
        client = self.v1_client(server.port, mapping)
        await self.opened(client)
        watch = client.link._health._watches["web"]
        for number in range(1, 4):
            watch._changed("web", False, "gone, says the test")
            await self.until(lambda n=number: server.controls[n - 1].of("offline_port"), "offline_port")
            self.assertEqual(server.controls[number - 1].of("offline_port")[0]["port"], mapping.remote_port)
            await self.until(lambda n=number: server.controls[n - 1].ended, "the close")
            await self.pause(0.1)
            self.assertEqual(len(server.controls), number)  # nothing is registered while the target is down
            watch._changed("web", True, "back, says the test")
            await self.opened(client)
            await self.echoes(mapping.remote_port)
        self.assertFalse(any(wire.of("online_port") for wire in server.controls))

    async def test_down_from_the_start(self) -> None:
        """A target that is down when the client starts is not registered, or not for long."""
        self.quick()
        server = await self.go_server()
        health = {"type": "tcp", "interval": 0.1, "timeout": 0.1}
        client = self.v1_client(server.port, self.published(self.free_port(), health=health))
        await self.said("is down: ")
        await self.until(lambda: all(wire.ended for wire in server.controls), "no control connection")
        await self.pause(0.2)
        self.assertTrue(all(wire.ended for wire in server.controls))
        await self.stop(client)

    async def test_half_close(self) -> None:
        """The end of one direction is passed on without ending the other, both ways."""
        server = await self.go_server()

        class Late(HalfOpen):
            def readConnectionLost(self) -> None:
                super().readConnectionLost()
                self.transport.write(b"r" * 100_000)
                self.transport.loseConnection()

        target, served = await self.target(Late)
        client = self.v1_client(server.port, self.published(target))
        await self.opened(client)
        server.open(server.controls[0], target)
        await self.until(lambda: server.legs, "the leg")
        leg = server.legs[0]
        leg.transport.write(b"question")
        leg.transport.loseWriteConnection()
        await self.until(lambda: leg.ended, "the end")
        self.assertEqual((len(leg.received), leg.was_reset), (100_000, False))
        self.assertEqual(served[0].received, b"question")

    async def test_resets(self) -> None:
        """A leg that is reset resets its target, and the reverse."""
        server = await self.go_server()
        target, served = await self.target()
        client = self.v1_client(server.port, self.published(target))
        await self.opened(client)
        for number, cut in enumerate((lambda leg, far: leg, lambda leg, far: far)):
            server.open(server.controls[0], target)
            await self.until(lambda n=number: len(server.legs) > n and len(served) > n, "the leg and the target")
            leg, far = server.legs[number], served[number]
            leg.transport.write(b"x")
            await self.until(lambda leg=leg: leg.received == b"x", "the echo")
            first = cut(leg, far)
            first.transport.abortConnection()
            other = far if first is leg else leg
            await self.until(lambda other=other: other.ended, "the other end")
            self.assertTrue(other.was_reset, number)


class EndTests(ClientTestCase):
    """Losing the server, and leaving it."""

    async def test_server_dies(self) -> None:
        """A server that dies ends its streams as a reset at the target, and is found again when it is back."""
        self.quick()
        server = await self.go_server()
        target, served = await self.target()
        mapping = self.published(target)
        client = self.v1_client(server.port, mapping)
        await self.opened(client)
        await self.echoes(mapping.remote_port)
        port = server.port
        for wire in reversed(server.wires):  # legs first, control connection last, each in order: a killed process
            wire.transport.loseConnection()
        await self.until(lambda: served[0].ended, "the target's end")
        self.assertTrue(served[0].was_reset)
        await server.stop()
        await self.said("next try in")
        again = await self.go_server(port)
        await self.opened(client)
        await self.echoes(mapping.remote_port)
        self.assertEqual(len(again.controls), 1)

    async def test_leg_ends_alone(self) -> None:
        """A leg that ends while its server lives ends its target in order."""
        server = await self.go_server()
        target, served = await self.target()
        client = self.v1_client(server.port, self.published(target))
        await self.opened(client)
        server.open(server.controls[0], target)
        await self.until(lambda: server.legs and served, "the leg")
        server.legs[0].transport.loseConnection()
        await self.until(lambda: served[0].ended, "the target's end")
        self.assertFalse(served[0].was_reset)

    async def test_heartbeat(self) -> None:
        """It pings, by default every 10 s, and gives a server up from which nothing comes for 30 s; then it is back."""
        self.assertEqual((v1_link.HEARTBEAT, v1control.SILENCE), (10.0, 30.0))
        self.quick()
        real = v1control.V1Control.__init__
        self.patch(
            v1control.V1Control, "__init__", lambda *args, **more: real(*args, **{**more, "silence": 0.6})
        )
        server = await self.go_server()
        client = self.v1_client(server.port, self.published(8080), heartbeat_interval=0.15)
        await self.until(lambda: server.controls and len(server.controls[0].of("ping")) >= 6, "six pings")
        self.assertIsNone(server.controls[0].ended)
        self.assertGreater(server.controls[0].of("ping")[0]["time"], 1_700_000_000)
        server.pongs = False
        await self.until(lambda: server.controls[0].ended, "the client gives up")
        await self.said("nothing was received for 0.6 s")
        server.pongs = True
        await self.until(lambda: len(server.controls) >= 2, "it is back")
        await self.opened(client)

    async def test_stop(self) -> None:
        """A client that stops takes its ports offline, lets visitors finish and cuts those who do not."""
        server = await self.go_server()
        target, _ = await self.target()
        mapping = self.published(target)
        client = self.v1_client(server.port, mapping, drain_timeout=0.4)
        await self.opened(client)
        visitor = await self.echoes(mapping.remote_port)
        stopping = self.stop(client)
        self.background(stopping)
        await self.until(lambda: server.controls[0].of("offline_port"), "offline_port")
        visitor.transport.write(b", again")
        await self.until(lambda: visitor.received == b"hello, again", "the echo while it drains")
        await self.until(lambda: visitor.ended, "the cut")
        await self.said("1 visitors were disconnected")
        await self.said("client stopped")

    async def test_stop_during_a_lookup(self) -> None:
        """A visitor whose target's name is being looked up does not hold up the stop: Twisted reports a cancelled
        lookup as one that failed, and no leg is made to report that."""
        server = await self.go_server()
        mapping = self.published(self.free_port())
        client = self.v1_client(server.port, mapping, drain_timeout=0)
        await self.opened(client)
        dials: list[Deferred[Any]] = []

        def dial(*_: Any) -> Deferred[Any]:
            dials.append(Deferred(lambda it: it.errback(DialFailed("unknown_host", "the name does not resolve"))))
            return dials[-1]

        self.patch(RawRelay, "dial", dial)
        await self.connect(mapping.remote_port)
        await self.until(lambda: dials, "the dial")
        wires = len(server.wires)
        await self.stop(client)
        self.assertEqual(len(server.wires), wires)
        self.assertEqual(client.usage.outcomes[Outcome.DRAINED], 1)
        self.assertNotIn("did not reach its target", " ".join(self.lines()))

    async def test_stop_during_the_lookup_of_the_server(self) -> None:
        """The same while the server's name is being looked up for a leg: the visitor was dropped, and its leg did not
        fail."""
        server = await self.go_server()
        target, served = await self.target()
        mapping = self.published(target)
        client = self.v1_client(server.port, mapping, drain_timeout=0)
        await self.opened(client)

        async def looked_up(*_: Any, **__: Any) -> Any:
            await Deferred(lambda it: it.errback(Unreachable("the name does not resolve")))

        self.patch(ServerPath, "greet_leg", looked_up)
        await self.connect(mapping.remote_port)
        await self.until(lambda: served, "the target")
        await self.stop(client)
        await self.until(lambda: served[0].ended, "the end of the target's connection")
        self.assertEqual(client.usage.outcomes[Outcome.DRAINED], 1)
        self.assertNotIn("a leg could not be brought", " ".join(self.lines()))

    async def test_reload(self) -> None:
        """What has nothing to do with its connections changes while it runs; all else says that it waits."""
        server = await self.go_server()
        target, _ = await self.target()
        client = self.v1_client(server.port, self.published(target))
        await self.opened(client)
        keys = {name: getattr(client.config, name) for name in client.config.model_fields_set}
        observers, spoken = ({"plugin": "metrics"},), []
        client.speak = spoken.append
        changed = {"log_lang": "zh", "observers": observers, "usage": False, "drain_timeout": 3, "dial_timeout": 5}
        report = await client.reload(type(client.config).model_validate({**keys, **changed}))
        self.assertEqual((spoken, client.drain_timeout), (["zh"], 3))
        self.assertIsNotNone(client.usage.observers)
        self.assertFalse(client.config.usage.enabled)
        self.assertIn("client.dial_timeout changed: needs a restart", report.lines)
        visitor = await self.echoes(client.config.mappings[0].remote_port)
        visitor.hang_up()

    async def test_stop_at_any_time(self) -> None:
        """It stops at once while it connects, waits to try again, or waits for its target."""
        for port, health in ((self.free_port(), False), (self.free_port(), True)):
            more = {"health": {"type": "tcp", "interval": 0.1, "timeout": 0.1}} if health else {}
            skip = len(self.lines())
            client = self.v1_client(port, self.published(self.free_port(), **more))
            await self.said("is down: " if health else "next try in", skip=skip)
            await self.stop(client)


class VersionTests(ClientTestCase):
    """Version 1 is never a fallback."""

    async def test_never_by_itself(self) -> None:
        """A client without v1 sends a Go server no register, no leg and no token, and says what the server is."""
        self.quick_link()
        server = await self.go_server()
        self.client(server.port, self.published(8080), tls={"mode": "off"})
        await self.said("the server speaks version 1 of the protocol", 3)
        self.assertEqual({m["type"] for wire in server.wires for m in wire.heard}, {"hello"})
        self.assertFalse(any(TOKEN in str(wire.heard) for wire in server.wires))

    async def test_not_after_version_2(self) -> None:
        """Once version 2 has worked with a server, v1: true is refused at start with one line, after a restart too, and
        for that server alone; its cure works."""
        server = await self.server(
            tls=TlsServerConfig(mode="off"), v1=V1ServerConfig(enabled=True, token=V1_TOKEN)  # type: ignore[arg-type]
        )
        target, _ = await self.target()
        port = server.address.port
        await self.stop(await self.open_client(port, self.mapping(target), tls={"mode": "off"}))
        refused = self.assertRaises(ConfigError, self.v1_client, port, self.published(target))
        self.assertIn(f"version 2 has worked with 127.0.0.1:{port}", str(refused))
        self.assertEqual(len(str(refused).splitlines()), 1)
        elsewhere = self.v1_client((await self.go_server()).port, self.published(target))
        await self.opened(elsewhere)
        marker = str(refused).rpartition("the file ")[2]
        (self.folder / marker).unlink()
        await self.opened(self.v1_client(port, self.published(target)))

    async def test_our_own_server(self) -> None:
        """Our client in version 1 works with our server too, to the health of its target, when both are told so."""
        self.quick()
        server = await self.server(v1=V1ServerConfig(enabled=True, token=V1_TOKEN))  # type: ignore[arg-type]
        target, _ = await self.target()
        mapping = self.published(target, health={"type": "tcp", "interval": 60})
        client = self.v1_client(server.address.port, mapping)
        await self.opened(client)
        await self.echoes(mapping.remote_port)
        watch = client.link._health._watches["web"]
        for _ in range(3):
            watch._changed("web", False, "gone")
            await self.until(
                lambda: client.link.published.statuses["web"].standing is Standing.PENDING, "it has left"
            )
            self.assertTrue(self.nobody_listens(mapping.remote_port))
            watch._changed("web", True, "back")
            await self.opened(client)
            await self.echoes(mapping.remote_port)

    async def test_server_that_has_it_off(self) -> None:
        """A server of ours that has version 1 off says so."""
        server = await self.server()
        self.v1_client(server.address.port, self.published(8080))
        await self.said("version 1 is not enabled on this server")


class ServerPlayedTests(ClientTestCase):
    """The Go server's bytes, as they were recorded, to our client."""

    async def test_session(self) -> None:
        """Our client understands each frame of the Go server, brings the leg that it asks for, and its first frames say
        what the Go client's said."""
        target, _ = await self.target(Echo)
        server = await self.go_server()
        server.answer = {"type": "pong", "time": 0}  # nothing of its own: the test answers
        said = {c: [e.data for e in events(local=target) if (e.connection, e.sender) == (c, "server")] for c in (0, 1)}
        server._message = lambda wire, message: None  # type: ignore[method-assign]
        client = self.v1_client(server.port, self.published(target, remote=17190), name=NAME)
        await self.until(lambda: server.wires and server.wires[0].heard, "register")
        control = server.wires[0]
        control.transport.write(said[0][0])
        await self.opened(client)
        control.transport.write(b"".join(said[0][1:]))
        await self.until(lambda: len(server.wires) > 1 and server.wires[1].heard, "data_channel")
        leg = server.wires[1]
        leg.raw = True
        leg.transport.write(b"".join(said[1]))
        await self.until(lambda: leg.received == b"hello", "the echo")
        for connection, wire in ((0, control), (1, leg)):
            theirs = {k: v for k, v in _object(payloads(connection, "client")[0]).items() if v != ""}
            self.assertEqual(wire.heard[0], {**theirs, "local_port": target})


def _object(payload: bytes) -> dict[str, Any]:
    return dict(json.loads(payload))



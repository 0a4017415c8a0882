"""Mappings of datagrams, whole: real sockets, a real client and a real server, on both relays."""

from __future__ import annotations

import os
import socket
import sys
from typing import Any
from unittest import skipUnless

from twisted.internet._resolver import GAIResolver
from twisted.internet.defer import Deferred, maybeDeferred

from gotunnel.client.standing import Standing
from gotunnel.config.model import MappingConfig
from gotunnel.config.plugged import AccessConfig
from gotunnel.core.dropped import Drop
from gotunnel.core.outcome import Outcome
from gotunnel.net.flow import MOST_WAITING
from gotunnel.server.kicking import kick_client
from gotunnel.server.switching import switch_mapping
from gotunnel.wire.datagrams import MOST_DATAGRAM
from gotunnel.wire.greeting import UDP

from .base import Echo, reactor
from .udp import HOST, Asker, UdpTestCase


def has_ipv6() -> bool:
    """Say whether this machine has an IPv6 loopback."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


class DatagramTests(UdpTestCase):
    """What travels, and to whom."""

    async def test_there_and_back(self) -> None:
        """Datagrams of all sizes pass whole, the longest too; who sends them is a visitor of his own, with a socket of
        his own at the target. Many at once stay apart, none is lost at this pace, and they come in order."""
        server, client, service, port = await self.published()
        one, other = self.asker(), self.asker()
        for size in (1, 2, 5, 1472, 16_379, 16_384, 32_768, MOST_DATAGRAM):
            content = os.urandom(size)
            self.assertEqual(await self.ask(one, content, port), content)
        self.assertEqual(await self.ask(other, b"other", port), b"other")
        self.assertEqual(len({source for _, source in service.heard}), 2)
        self.assertEqual((server.hub.live, client.usage.live), (2, 2))
        views = {view.visitor for view in self.view(server).streams}
        self.assertEqual(views, {f"{HOST}:{each.transport.getHost().port}" for each in (one, other)})
        wanted = [bytes([size % 256]) * (size * 37 % 2000 + 1) for size in range(30)]
        del one.got[:]
        for datagram in wanted:
            one.transport.write(datagram, (HOST, port))
        await self.until(lambda: len(one.got) == len(wanted), "all answers")
        self.assertEqual((one.got, dict(server.hub.usage.dropped)), (wanted, {}))

    async def test_quiet(self) -> None:
        """A flow that is quiet ends at both ends in the same word, and its leg serves the next one: a flow or a
        connection."""
        server, client, service, port = await self.published()
        stream, _ = await self.target(Echo)
        await self.reload(client, mappings=(*client._settings.mappings, self.mapping(stream)))
        await self.until(lambda: self.is_open(client), "both are open")
        self.port(server).flows.idle = 0.3
        asker = self.asker()
        for turn in range(1, 4):
            await self.ask(asker, b"again", port)
            await self.until(lambda turn=turn: server.hub.outcomes[Outcome.QUIET] == turn, "it is quiet")
            await self.until(lambda turn=turn: client.usage.outcomes[Outcome.QUIET] == turn, "at the client, too")
            visitor = await self.echoes(self.port_of(client))
            visitor.hang_up()
            await self.until(lambda: not server.hub.live and not client.usage.live, "he is gone")
        self.assertEqual(len(service.heard), 3)
        self.assertLessEqual(server.hub.usage.legs_created, 2)
        await self.said("of dns ended: quiet (idle), 5 bytes up, 5 down", 6)
        self.assertEqual(len(self.port(server).flows), 0)

    async def test_refused(self) -> None:
        """Where the target's system says that nobody listens, the flow ends with that, and the next datagram tries
        again: when the service is there it is served."""
        server, client, service, port = await self.published()
        await self.ask(asker := self.asker(), b"first", port)
        target = service.transport.getHost().port
        await service.transport.stopListening()
        asker.transport.write(b"nobody", (HOST, port))
        await self.until(lambda: server.hub.outcomes[Outcome.REFUSED] == 1, "it is refused")
        await self.until(lambda: client.usage.outcomes[Outcome.REFUSED] == 1, "at the client, too")
        await self.said("of dns ended: refused (port_unreachable)", 2)
        self.datagrams(service, port=target)
        self.assertEqual(await self.ask(asker, b"again", port), b"again")

    async def test_by_name(self) -> None:
        """A target by its name is looked up, and what came meanwhile waits for it; one that has none is refused."""
        def look(host: str, port: Any, *_: Any) -> list[tuple[Any, ...]]:
            if host != "dns.example":  # and not localhost: on many machines that is ::1 first
                raise socket.gaierror(socket.EAI_NONAME, "no such name")
            return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", (HOST, port or 0))]

        before = reactor.installNameResolver(GAIResolver(reactor, getaddrinfo=look))
        self.addCleanup(reactor.installNameResolver, before)
        server = await self.udp_server()
        target, _ = self.service()
        names = {"dns": f"dns.example:{target}", "none": "does-not-exist.invalid:53"}
        client = await self.open_client(server, *(
            MappingConfig.model_validate({"name": name, "local": local, "remote": f"{HOST}:0", "protocol": "udp"})
            for name, local in names.items()
        ))  # fmt: skip
        self.assertEqual(await self.ask(self.asker(), b"by name", self.port_of(client, "dns")), b"by name")
        self.asker().transport.write(b"lost", (HOST, self.port_of(client, "none")))
        await self.until(lambda: server.hub.outcomes[Outcome.REFUSED] == 1, "it is refused")

    @skipUnless(sys.platform.startswith("linux"), "only Linux has all of 127.0.0.0/8")
    async def test_several_addresses(self) -> None:
        """Of a name with several addresses it is the one at which somebody listens, as `localhost` may be ::1 and the
        service at 127.0.0.1: what the others refuse is not lost and comes once, and the next flows go there at once.
        Where nobody listens at any the flow is refused."""
        hosts = ("127.0.0.2", "127.0.0.3")
        before = reactor.installNameResolver(GAIResolver(reactor, getaddrinfo=lambda host, port, *_: [
            (socket.AF_INET, socket.SOCK_DGRAM, 17, "", (each, port or 0)) for each in hosts
        ]))  # fmt: skip
        self.addCleanup(reactor.installNameResolver, before)
        server = await self.udp_server()
        target, service = self.service(hosts[1])
        client = await self.open_client(server, MappingConfig.model_validate(
            {"name": "dns", "local": f"two.example:{target}", "remote": f"{HOST}:0", "protocol": "udp"}
        ))  # fmt: skip
        port, asked = self.port_of(client, "dns"), [b"one", b"two", b"three"]
        asker = self.asker()
        for datagram in asked:
            asker.transport.write(datagram, (HOST, port))
        await self.until(lambda: len(asker.got) == len(asked), "all answers")
        self.assertEqual(await self.ask(self.asker(), b"another flow", port), b"another flow")
        self.assertEqual([datagram for datagram, _ in service.heard], [*asked, b"another flow"])
        self.assertEqual((asker.got, dict(server.hub.outcomes)), (asked, {}))
        await service.transport.stopListening()
        self.asker().transport.write(b"nobody", (HOST, port))
        await self.until(lambda: server.hub.outcomes[Outcome.REFUSED] == 1, "it is refused")

    async def test_from_where_it_was_asked(self) -> None:
        """On a socket that is bound to all addresses the answer comes from the one that was asked, and two of them are
        two flows of one source."""
        server = await self.udp_server()
        target, service = self.service()
        client = await self.open_client(server, self.udp(target, "0.0.0.0:0"))
        asker = self.asker("0.0.0.0")
        for host in ("127.0.0.1", "127.0.0.2", "127.1.2.3"):
            await self.ask(asker, b"who is it", self.port_of(client, "dns"), host)
            self.assertEqual(asker.sources[-1], (host, self.port_of(client, "dns")))
        self.assertEqual(len({source for _, source in service.heard}), 3)

    @skipUnless(has_ipv6(), "this machine has no IPv6")
    async def test_ipv6(self) -> None:
        """A socket on [::] serves both families, each from the address that was asked; a target may be one of IPv6.
        Datagrams that only IPv6 knows are longer than what is carried, and are counted where they come."""
        server = await self.udp_server()
        target, _service = self.service("::1")
        client = await self.open_client(server, self.udp(f"[::1]:{target}", "[::]:0"))
        port = self.port_of(client, "dns")
        six, four = self.asker("::1"), self.asker("0.0.0.0")
        self.assertEqual(await self.ask(six, b"six", port, "::1"), b"six")
        self.assertEqual(await self.ask(four, b"four", port, "127.0.0.9"), b"four")
        self.assertEqual((six.sources, four.sources), ([("::1", port)], [("127.0.0.9", port)]))
        self.assertEqual({view.visitor.rpartition(":")[0] for view in self.view(server).streams}, {"[::1]", HOST})
        six.transport.write(b"x" * (MOST_DATAGRAM + 1), ("::1", port))
        self.asker("::1").transport.write(b"x" * (MOST_DATAGRAM + 1), ("::1", port))
        await self.dropped(server, Drop.TOO_LONG, 2)
        self.assertEqual(len(self.port(server).flows), 2)

    async def test_before_there_is_a_leg(self) -> None:
        """What comes before a leg is there waits, as far as it is little, and is delivered; of the rest each is
        counted, and told once."""
        server, client, _service, port = await self.published()
        (session,) = server.hub.left
        session.most_legs = 0
        session.open_no_more()
        asker = self.asker()
        for number in range(MOST_WAITING + 4):
            asker.transport.write(b"%d" % number, (HOST, port))
        await self.dropped(server, Drop.WAITING, 4)
        self.assertEqual(self.view(server).pending, 1)
        client.link.session.close("for a new one")
        await self.until(lambda: len(asker.got) == MOST_WAITING, "those that waited")
        self.assertEqual(asker.got, [b"%d" % number for number in range(MOST_WAITING)])
        await self.said("datagrams of mapping dns of client edge are dropped: too many arrived before the target was")


class PortableDatagramTests(DatagramTests):
    """The same on the portable relay."""

    relay = "portable"


class PortTests(UdpTestCase):
    """The public port: who may have it, when it is open, and when it lets nobody in."""

    async def test_rights(self) -> None:
        """UDP has to be allowed by itself, and the refusal says so; then the same number of TCP is another port. What
        is not allowed any more closes, and ends its flows."""
        self.quick()
        server = await self.server()
        target, _ = self.service()
        stream, _ = await self.target(Echo)
        web = self.mapping(stream)
        client = self.client(server, web, self.udp(target))
        await self.said("acl_denied: no port of UDP is allowed (allow_udp_ports); choose an allowed one (remote)")
        port = self.port_of(client)
        await self.reload(client, mappings=(web, self.udp(target, port)))
        await self.said(f"port {port} of UDP is not allowed (allow_udp_ports); allowed: none")
        await self.reload(server, allow_udp_ports=("1024-65535",))
        await self.until(lambda: self.is_open(client), "both are open")
        asker = self.asker()
        await self.ask(asker, b"by UDP", port)
        await self.echoes(port)
        rights = {view.client: view.allow_udp_ports for view in self.view(server).rights()}
        self.assertEqual(rights, {"edge": "1024-65535"})
        await self.reload(server, allow_udp_ports=("1",))
        await self.said(f"its rights have changed: acl_denied: port {port} of UDP is not allowed (allow_udp_ports)")
        await self.until(lambda: server.hub.outcomes[Outcome.STOPPED] >= 1, "its flow ends")
        await self.said(f"mapping dns refused by the server {HOST}")

    async def test_taken(self) -> None:
        """A port that another program has is refused as one of TCP is, and had when it is free."""
        self.quick()
        server = await self.udp_server()
        other = self.asker()
        port = other.transport.getHost().port
        target, _ = self.service()
        client = self.client(server, self.udp(target, port))
        await self.said("port_in_use")
        await other.transport.stopListening()
        await self.until(lambda: self.is_open(client), "it is open")
        view = next(iter(self.view(server).mappings()))
        self.assertEqual((view.address, view.protocol, view.dropped), (f"{HOST}:{port}/udp", "udp", 0))

    async def test_limits(self) -> None:
        """What is beyond the limits of flows is dropped, told once and counted; no leg is spent on it, and the next
        flow has the room that one leaves. A change of the limits holds at once."""
        limits = {"flows": 2, "new_flows": 1000}
        server, _client, service, port = await self.published(limits=limits)
        askers = [self.asker() for _ in range(4)]
        for asker in askers[:2]:
            await self.ask(asker, b"served", port)
        for asker in askers[2:]:
            asker.transport.write(b"one too many", (HOST, port))
        await self.dropped(server, Drop.FLOWS, 2)
        self.assertEqual((server.hub.visitors_total, len(service.heard)), (2, 2))
        for reason, more in ((Drop.FLOWS, {"flows_per_address": 2, "new_flows": 1000}), (Drop.RATE, {"new_flows": 1})):
            await self.reload(server, limits=more)
            count = self.port(server).flows.dropped[reason]
            if reason is Drop.RATE:
                await self.ask(askers[2], b"the one of this second", port)
            askers[3].transport.write(b"one too many", (HOST, port))
            await self.dropped(server, reason, count + 1)
        await self.reload(server, limits={"flows": 3, "new_flows": 1000})
        self.port(server).flows.end("closed")  # as if all were over
        self.port(server).flows.listen(HOST, port, self.port(server)._accepted)
        self.assertEqual(await self.ask(askers[3], b"at last", port), b"at last")
        (shown,) = self.view(server).mappings()
        self.assertEqual(shown.reason, f"{shown.dropped} datagrams dropped")
        text = "datagrams of mapping dns of client edge are dropped: the limits of flows are reached"
        self.assertEqual(sum(text in line for line in self.lines()), 1)

    async def test_limit_of_visitors(self) -> None:
        """A flow is a visitor: one that is more than its client may have is turned away as others are."""
        server, _client, _service, port = await self.published(limits={"visitors": 1})
        await self.ask(self.asker(), b"served", port)
        self.asker().transport.write(b"one too many", (HOST, port))
        await self.until(lambda: server.hub.outcomes[Outcome.DENIED] == 1, "he is turned away")
        self.assertEqual(len(self.port(server).flows), 1)

    async def test_access_policy(self) -> None:
        """An access policy is asked about each flow: from an address that it does not let in nothing is carried."""
        policy = AccessConfig.model_validate({"plugin": "networks", "allow": ["127.0.0.1"]})
        server, _client, service, port = await self.published(access=policy)
        self.assertEqual(await self.ask(self.asker(), b"let in", port), b"let in")
        self.asker("127.0.0.2").transport.write(b"kept out", (HOST, port))
        await self.until(lambda: server.hub.outcomes[Outcome.DENIED] == 1, "he is kept out")
        self.assertEqual([datagram for datagram, _ in service.heard], [b"let in"])
        self.assertEqual(len(self.port(server).flows), 1)

    async def test_off_and_on(self) -> None:
        """Switched off, a mapping lets nobody new in, and who is there goes on; with the last one its socket closes, so
        that the system says so; switched on it is as before."""
        server, _client, _service, port = await self.published()
        there, late = self.asker(), self.asker()
        await self.ask(there, b"there", port)
        await Deferred.fromCoroutine(switch_mapping(server.hub, None, "dns", off=True))
        late.transport.write(b"late", (HOST, port))
        await self.dropped(server, Drop.SHUT)
        self.assertEqual(await self.ask(there, b"goes on", port), b"goes on")
        self.assertFalse(self.port(server).is_open)
        (stream,) = self.view(server).streams
        self.assertTrue(self.view(server).streams.kick(stream.conn))
        await self.said("of dns ended: stopped (kicked)", 2)
        free = self.datagrams(Asker(), port=port)  # it can be had: nobody holds it
        await free.transport.stopListening()
        await Deferred.fromCoroutine(switch_mapping(server.hub, None, "dns", off=False))
        self.assertEqual(await self.ask(late, b"at last", port), b"at last")

    async def test_reload(self) -> None:
        """Another idle time holds for flows from then on, without the port being closed; with another protocol it
        is closed, and a port of that opened."""
        server, client, _service, port = await self.published()
        asker = self.asker()
        await self.ask(asker, b"before", port)
        (mapping,) = client._settings.mappings
        before = self.port(server)
        await self.reload(client, mappings=(mapping.model_copy(update={"idle": 7.0}),))
        await self.until(lambda: self.port(server).flows.idle == 7, "the server knows")
        self.assertIs(self.port(server), before)
        self.assertEqual(await self.ask(asker, b"the same flow", port), b"the same flow")
        self.assertEqual(server.hub.visitors_total, 1)
        stream, _ = await self.target(Echo)
        await self.reload(client, mappings=(self.mapping(stream, "dns"),))
        await self.until(lambda: server.hub.outcomes[Outcome.STOPPED] == 1, "the flow ends with its port")
        await self.until(lambda: self.is_open(client), "it is open")
        await self.echoes(self.port_of(client, "dns"))

    async def test_kicked_client(self) -> None:
        """A client whose session is ended comes back, its port stays, and the flow of a source begins anew."""
        self.quick()
        server, _client, _service, port = await self.published()
        asker = self.asker()
        await self.ask(asker, b"before", port)
        before = self.port(server)
        self.assertEqual(kick_client(server.hub, "edge"), 1)
        await self.until(lambda: not server.hub.live, "he is cut")
        self.assertEqual(await self.ask(asker, b"after", port), b"after")
        self.assertIs(self.port(server), before)

    async def test_client_stops(self) -> None:
        """A client that stops gives its flows the time that others have; then they end at both ends in the same word,
        and its successor serves the same source at the same port, whose datagrams waited meanwhile."""
        server, client, _service, port = await self.published()
        asker = self.asker()
        await self.ask(asker, b"before", port)
        before = self.port(server)
        await self.reload(client, drain_timeout=0.2)
        (mapping,) = client._settings.mappings
        stopping = maybeDeferred(client.stopService)
        self.assertEqual(await self.ask(asker, b"while it drains", port), b"while it drains")
        await stopping
        await self.until(lambda: server.hub.outcomes[Outcome.DRAINED] == 1, "its time was over")
        self.assertEqual(client.usage.outcomes[Outcome.DRAINED], 1)
        asker.transport.write(b"after", (HOST, port))
        await self.until(lambda: self.view(server).pending == 1, "he waits for a leg")
        await self.open_client(server, mapping)
        await self.until(lambda: asker.got[-1] == b"after", "the answer")
        self.assertIs(self.port(server), before)

    async def test_stop(self) -> None:
        """A server that stops ends its flows and frees the port at once, though its visitors have time to finish: they
        begin anew with its successor."""
        server, _client, _service, port = await self.published(drain_timeout=30.0)
        asker = self.asker()
        await self.ask(asker, b"before", port)
        await self.stop(server)
        await self.said("of dns ended: stopped (closed)", 2)
        await self.datagrams(Asker(), port=port).transport.stopListening()

    async def test_one_end_without_it(self) -> None:
        """Towards a server that carries no datagrams the client asks for nothing and says so once; a server refuses a
        client that does not say that it can. Other mappings are as they were."""
        server = await self.udp_server()
        server.hub.caps = tuple(cap for cap in server.hub.caps if cap != UDP)
        target, _ = self.service()
        stream, _ = await self.target(Echo)
        client = self.client(server, self.udp(target), self.mapping(stream))
        await self.said("carries no datagrams (protocol udp): its version is older")
        await self.until(lambda: client.link.published.statuses["web"].standing is Standing.OPEN, "the other is open")
        status = client.link.published.statuses["dns"]
        self.assertEqual((status.standing, status.reason), (
            Standing.REFUSED, "the server carries no datagrams (protocol udp)"
        ))
        self.assertEqual(list(server.hub.peers["edge"].published.refused), [])
        client.link.session.register((status.request(),))
        await self.said("bad_request: the relay of this server carries no datagrams")
        server.hub.caps = (*server.hub.caps, UDP)
        (session,) = server.hub.left
        session.caps = ()
        client.link.session.register((status.request(),))
        await self.said("bad_request: this client does not say that it carries datagrams")

    async def test_cannot_be(self) -> None:
        """What a client's file refuses is refused by the server, too, whose client may be another program."""
        server, client, _service, _port = await self.published()
        request = client.link.published.statuses["dns"].request()
        for more, words in (
            ({"group": "all"}, "a group is for TCP"),
            ({"clients": ("other",)}, "forwards of other clients are for TCP"),
            ({"public": False, "remote_port": 0, "clients": ("other",)}, "forwards of other clients are for TCP"),
        ):
            changed = type(request)(**{
                name: more.get(name, getattr(request, name)) for name in type(request).__dataclass_fields__
            })
            client.link.session.register((changed,))
            await self.said(f"bad_request: {words}")
        self.assertFalse(self.port(server).admits("edge"))


class HostileTests(UdpTestCase):
    """Who is flooded, and by whom."""

    async def test_forged_sources(self) -> None:
        """A flood of sources of which each sends once costs as many legs as the limits say, and no more; whoever was
        there before is served on."""
        limits = {"flows": 20, "new_flows": 100, "flows_per_address": 100}
        server, _client, service, port = await self.published(limits=limits)
        asker = self.asker()
        await self.ask(asker, b"before", port)
        service.silent = True
        sent = 0
        for _ in range(40):
            forged = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.addCleanup(forged.close)  # not before the end: the next one might get its port, and be the same source
            forged.sendto(b"x", (HOST, port))
            sent += 1
            await self.pause(0)
        await self.until(lambda: self.port(server).flows.dropped[Drop.FLOWS] == sent - 19, "the rest is dropped")
        self.assertEqual(len(self.port(server).flows), 20)
        self.assertEqual(len(list(self.view(server).streams)), 20)
        service.silent = False
        self.assertEqual(await self.ask(asker, b"served on", port), b"served on")

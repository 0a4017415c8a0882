"""A mapping that the server refuses is seen there, in the lists, the figures and the alert, while it is asked for."""

from __future__ import annotations

import yaml
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from gotunnel.admin.api import Api
from gotunnel.admin.events import Events
from gotunnel.admin.lag import Lag
from gotunnel.admin.metrics import exposition
from gotunnel.core.view import SWITCHED_OFF, MappingState
from gotunnel.net.descriptors import Descriptors
from gotunnel.server.switching import switch_mapping
from gotunnel.wire.greeting import MAPPING_STATE
from gotunnel.wire.messages import MappingRequest, Unregister
from gotunnel.wire.messages import MappingState as Told
from tests.processes import ROOT
from tests.server.test_view import view_of
from tests.server.world import Client, ServerTestCase

Row = tuple[str, str, MappingState, str, str]


class RefusedTests(ServerTestCase):
    """One client; port 8666 belongs to another program."""

    def setUp(self) -> None:
        self.it = self.world(allow_ports=("8000-8999",), limits={"mappings": 3})
        self.it.relay.taken = {8666}
        self.view = view_of(self.it, descriptors=Descriptors(self.it.clock))
        self.client = self.it.login(caps=(MAPPING_STATE,))

    def rows(self) -> list[Row]:
        """Return what is refused."""
        found = [each for each in self.view.mappings() if each.state is not MappingState.OPEN]
        return [(each.client, each.name, each.state, each.reason, each.address) for each in found]

    def ask(self, *ports: int, client: Client | None = None, first: int = 0) -> None:
        """Ask for these ports, by mappings m0, m1 and so on."""
        (client or self.client).register(*(MappingRequest(f"m{first + n}", port) for n, port in enumerate(ports)))

    def test_seen(self) -> None:
        """Each has a row with its code and reason, what was asked for, and since when; those that are open stay so. The
        session counts all that its client asks for, as that does itself."""
        self.ask(8001, 8666, 22)
        self.it.clock.advance(7)
        self.ask(8001, 8666, 22)
        self.it.clock.advance(5)
        self.assertEqual(self.rows(), [
            ("edge", "m1", MappingState.REFUSED,
             "port_in_use: 0.0.0.0:8666: another program on the server listens there", "0.0.0.0:8666"),
            ("edge", "m2", MappingState.REFUSED, "acl_denied: port 22 is not allowed; allowed: 8000-8999",
             "0.0.0.0:22"),
        ])  # fmt: skip
        self.assertEqual([each.age for each in self.view.mappings()], [None, 12.0, 12.0])
        self.assertEqual([each.mappings for each in self.view.sessions()], [3])

    def test_gone(self) -> None:
        """One row goes when its mapping is granted, one when it is taken back, all when a successor takes over, and all
        when the client leaves."""
        self.ask(8666, 8666, 22, 23)
        self.assertEqual([name for _, name, *_ in self.rows()], ["m1", "m2", "m3"], "bounded by limits.mappings")
        self.it.relay.taken = set()
        self.ask(8666, first=1)
        self.assertEqual([name for _, name, *_ in self.rows()], ["m2", "m3"])
        self.assertEqual(len(self.it.hub.peers["edge"].published.refused), 2, "nor is it remembered behind its port")
        self.client.say(Unregister(99, ("m2",)))
        self.it.clock.advance(0)
        self.assertEqual([name for _, name, *_ in self.rows()], ["m3"])
        self.client = self.it.login()
        self.assertEqual(self.rows(), [])
        self.ask(22, 8001)
        self.assertEqual([name for _, name, *_ in self.rows()], ["m0"])
        self.client.transport.lose()
        self.assertEqual([row[1:3] for row in self.rows()], [("m1", MappingState.AWAY)])

    def test_replaced_meanwhile(self) -> None:
        """What an older session still hears of a refusal is none of its successor's."""
        held: list[Deferred[None]] = []

        async def vet(port: int) -> None:
            held.append(Deferred())
            await held[-1]

        self.it.hub.vetter = lambda *_: vet  # type: ignore[method-assign]
        asking = Deferred.fromCoroutine(self.it.hub.peers["edge"].published.register(
            (MappingRequest("late", 8666),), self.it.hub.peers["edge"].session,  # type: ignore[arg-type]
        ))  # fmt: skip
        self.it.login()
        held[0].callback(None)
        self.assertEqual([result.code for result in self.successResultOf(asking)], ["port_in_use"])
        self.assertEqual(self.rows(), [])

    def test_alert(self) -> None:
        """The metric counts them, so that the alert rule can fire, and there is nothing to fire for once the port is
        free."""
        (rule,) = [
            rule for group in yaml.safe_load((ROOT / "etc/prometheus/gotunnel.rules.yml").read_text())["groups"]
            for rule in group["rules"] if rule["alert"] == "GotunnelMappingRefused"
        ]  # fmt: skip
        self.assertEqual(rule["expr"], 'sum by (instance) (gotunnel_mappings{state=~"refused|failed"}) > 0')
        self.ask(8001, 8666)
        self.assertEqual((self.counted("refused", "failed"), self.counted("open")), (1.0, 1.0))
        self.it.relay.taken = set()
        self.ask(8001, 8666)
        self.assertEqual((self.counted("refused", "failed"), self.counted("open")), (0.0, 2.0))

    def counted(self, *states: str) -> float:
        """Return the sum of `gotunnel_mappings` in these states, as a scrape tells it."""
        _, text = exposition(Api(self.view, {}, Lag(Clock()), Events()), "")
        return sum(
            sample.value for family in text_string_to_metric_families(text.decode()) for sample in family.samples
            if sample.name == "gotunnel_mappings" and sample.labels["state"] in states
        )  # fmt: skip

    def test_switched_off(self) -> None:
        """An operator can switch off what is refused, too: both ends show that, and it stays off when it is granted."""
        self.ask(8666)
        done = Deferred.fromCoroutine(switch_mapping(self.it.hub, None, "m0", off=True))
        self.assertEqual(self.successResultOf(done), "edge")
        self.assertEqual([row[2:4] for row in self.rows()], [(MappingState.OFF, SWITCHED_OFF)])
        self.assertEqual(self.client.heard(), [Told("m0", "down", SWITCHED_OFF)])
        self.it.relay.taken = set()
        (result,) = self.client.register(MappingRequest("m0", 8666))
        self.assertEqual((result.status, result.shut, self.it.relay.ports), ("ok", SWITCHED_OFF, []))

"""encrypt: false with a target that speaks no TLS: who is looked at, when, and what is said."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.address import HostPort
from gotunnel.client.plain import AGAIN, PlainForwards, PlainWatch
from gotunnel.client.published import Published
from gotunnel.config.model import ForwardConfig, MappingConfig
from gotunnel.errors import DialFailed
from gotunnel.wire.messages import MappingResult
from gotunnel.wire.proxyheader import proxy_header_of_nobody


class PlainTests(SynchronousTestCase):
    """PlainWatch, with targets in the test's hand."""

    def setUp(self) -> None:
        """Three mappings, of which two travel outside of TLS."""
        self.log = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        self.clock = Clock()
        mappings = [
            MappingConfig.model_validate({"name": name, "local": 1000 + number, "remote": 0, "encrypt": name == "tls"})
            for number, name in enumerate(("tls", "one", "two"))
        ]
        self.asked: list[tuple[int, Deferred[Any]]] = []
        self.begun: list[bytes] = []
        self.published = Published(mappings, HostPort("server", 17000), lambda: None)
        self.watch = PlainWatch(self.clock, mappings, lambda: [self.published], self.ask)
        self.published.changed = self.watch.look

    def ask(self, target: Any, begins: bytes) -> Deferred[Any]:
        """Note who is asked, and what is said to him first."""
        self.begun.append(begins)
        self.asked.append((target.port, Deferred()))
        return self.asked[-1][1]

    def session(self, *names: str) -> None:
        """A session begins, and its server opens these mappings and refuses the others."""
        self.published.begin()
        self.published.answered(
            [
                MappingResult(name, "ok", 2000, None, None)
                if name in names
                else MappingResult(name, "fail", None, "limit", "too many")
                for name in self.published.statuses
            ]
        )

    def ports(self) -> list[int]:
        """Return who was asked."""
        return [port for port, _ in self.asked]

    def lines(self, words: str) -> list[str]:
        """Return the lines of the log with these words."""
        return [line for line in map(str, map(formatEvent, self.log)) if words in line]

    def test_kubelet(self) -> None:
        """The same of a mapping, when it is open, and not of one inside TLS."""
        mappings = [
            MappingConfig.model_validate({"name": name, "local": 10250, "remote": 0, "encrypt": name == "tls"})
            for name in ("tls", "one", "two")
        ]
        self.watch.change(mappings)
        self.session("tls", "one")
        (line,) = self.lines("--kubelet-certificate-authority")
        self.assertIn("one leads to the kubelet 127.0.0.1:10250 outside gotunnel's TLS", line)

    def test_one_after_the_other(self) -> None:
        """Those outside of TLS, once, and each when the one before is known; the ones without TLS are named."""
        self.session("tls", "one", "two")
        self.assertEqual(self.ports(), [1001])
        self.asked[0][1].callback(None)
        self.assertEqual(self.ports(), [1001, 1002])
        self.asked[1][1].callback("it answers in clear")
        (line,) = self.lines("does not speak TLS")
        self.assertIn("mapping two has encrypt: false, but its target 127.0.0.1:1002 does not speak TLS", line)
        self.assertIn("it answers in clear", line)
        self.assertIn("remove encrypt: false", line)
        self.assertEqual(self.watch.in_clear, {"two": "it answers in clear"})
        self.assertEqual(self.lines("outside gotunnel's TLS"), [
            "outside gotunnel's TLS, if the server allows it (encrypt: false): one, two"
        ])  # fmt: skip

    def test_never_repeated(self) -> None:
        """Not in the next session, not after an hour."""
        self.session("one")
        self.asked[0][1].callback("it answers in clear")
        for _ in range(3):
            self.clock.advance(3600)
            self.session("one")
        self.assertEqual(self.ports(), [1001])
        self.assertEqual(len(self.lines("does not speak TLS")), 1)

    def test_only_what_is_open(self) -> None:
        """A mapping that is refused: nobody is asked."""
        self.session("tls")
        self.assertEqual((self.asked, self.lines("outside of")), ([], []))

    def test_after_it_was_down(self) -> None:
        """A target that is down is not asked; it is once more when it comes up, but not soon again."""
        self.published.set_down("one", "gone")
        self.session("one")
        self.assertEqual(self.ports(), [])
        self.published.set_down("one", None)
        self.assertEqual(self.ports(), [1001])
        self.asked[0][1].callback("it answers in clear")
        for _ in range(5):  # it comes and goes
            self.clock.advance(10)
            self.published.set_down("one", "gone")
            self.published.set_down("one", None)
        self.assertEqual(self.ports(), [1001])
        self.clock.advance(AGAIN)
        self.published.set_down("one", "gone")
        self.published.set_down("one", None)
        self.assertEqual(self.ports(), [1001, 1001])
        self.asked[1][1].callback("it answers in clear")
        self.assertEqual(len(self.lines("does not speak TLS")), 1)

    def test_proxied(self) -> None:
        """A target that expects the PROXY protocol is asked behind the header, and anew when that is changed."""
        one = MappingConfig.model_validate({"name": "one", "local": 1001, "remote": 1, "encrypt": False})
        self.session("one")
        self.asked[0][1].callback("it closes the connection when it is greeted with TLS")
        for version, header in (("v1", b"PROXY UNKNOWN\r\n"), ("v2", proxy_header_of_nobody("v2"))):
            self.watch.change([one.model_copy(update={"proxy_protocol": version})])
            self.watch.look()
            self.assertEqual((self.ports()[-1], self.begun[-1]), (1001, header))
            self.asked[-1][1].callback(None)
        self.assertEqual((len(self.begun), self.begun[0]), (3, b""))

    def test_change(self) -> None:
        """It speaks TLS now: said as well."""
        self.session("one")
        self.asked[0][1].callback("it answers in clear")
        self.clock.advance(AGAIN)
        self.published.set_down("one", "gone")
        self.published.set_down("one", None)
        self.asked[1][1].callback(None)
        self.assertEqual(len(self.lines("speaks TLS now")), 1)
        self.assertEqual(self.watch.in_clear, {})

    def test_unreachable(self) -> None:
        """Nothing is said, and it is asked again when something happens after a while."""
        self.session("one")
        self.asked[0][1].errback(DialFailed("refused", "refused"))
        self.session("one")
        self.assertEqual(self.ports(), [1001])
        self.clock.advance(AGAIN)
        self.session("one")
        self.assertEqual(self.ports(), [1001, 1001])
        self.assertEqual(self.lines("mapping one has encrypt"), [])

    def test_stop(self) -> None:
        """What is under way is given up, and nothing new begins."""
        self.session("one", "two")
        self.watch.stop()
        self.watch.stop()
        self.published.set_down("one", None)
        self.assertEqual(self.ports(), [1001])
        self.assertEqual((self.lines("does not speak"), self.clock.getDelayedCalls()), ([], []))

    def test_another_target_meanwhile(self) -> None:
        """What a target was found to be counts for nothing when the mapping leads elsewhere: the new one is asked."""
        self.session("one")
        moved = MappingConfig.model_validate({"name": "one", "local": 1009, "remote": 0, "encrypt": False})
        self.watch.change([moved])
        self.asked[0][1].callback("it answers in clear")
        self.assertEqual((self.ports(), self.lines("does not speak"), self.watch.in_clear), ([1001, 1009], [], {}))


class PlainForwardsTests(SynchronousTestCase):
    """PlainForwards, with targets in the test's hand."""

    def setUp(self) -> None:
        """Two forwards, one of them inside of TLS."""
        self.log = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        self.clock = Clock()
        self.outside = False
        self.asked: list[tuple[str, Deferred[Any]]] = []
        self.watch = PlainForwards(
            self.clock, [self.forward("bare"), self.forward("tls", encrypt=True)], lambda: self.outside, self.ask
        )

    @staticmethod
    def forward(name: str, *, encrypt: bool = False) -> ForwardConfig:
        """Return a forward."""
        return ForwardConfig.model_validate({"name": name, "listen": 0, "dial": "10.0.0.1:80", "encrypt": encrypt})

    def ask(self, config: ForwardConfig) -> Deferred[Any]:
        """Note who is asked."""
        self.asked.append((config.name, Deferred()))
        return self.asked[-1][1]

    def lines(self, words: str) -> list[str]:
        """Return the lines of the log with these words."""
        return [line for line in map(str, map(formatEvent, self.log)) if words in line]

    def test_only_outside(self) -> None:
        """Where a server takes no legs outside of TLS everything is inside, and nobody is asked."""
        self.watch.look()
        self.assertEqual((self.asked, self.lines("outside of")), ([], []))
        self.outside = True
        self.watch.look()
        self.assertEqual([name for name, _ in self.asked], ["bare"])
        self.asked[0][1].callback("it answers in clear")
        (line,) = self.lines("does not speak TLS")
        self.assertIn("forward bare has encrypt: false, but its target 10.0.0.1:80 does not", line)
        self.assertEqual(len(self.lines("forwards outside gotunnel's TLS (encrypt: false): bare")), 1)
        self.watch.look()
        self.assertEqual((len(self.asked), self.watch.in_clear), (1, {"bare": "it answers in clear"}))

    def test_kubelet(self) -> None:
        """TLS that nobody checks protects nobody: a kubelet outside gotunnel's TLS is warned of, once."""
        self.watch.change([
            ForwardConfig.model_validate({"name": name, "listen": port, "dial": f"10.0.0.1:{port}", "encrypt": False})
            for name, port in (("api", 6443), ("kubelet", 10250))
        ])  # fmt: skip
        self.outside = True
        for outside in (True, False, True):
            self.outside = outside
            self.watch.look()
        (line,) = self.lines("--kubelet-certificate-authority")
        self.assertIn("kubelet leads to the kubelet 10.0.0.1:10250 outside gotunnel's TLS", line)

    def test_not_led_there(self) -> None:
        """Nothing is said of a target that was not reached, and a visitor after a while has it asked again."""
        self.outside = True
        self.watch.look()
        self.asked[0][1].errback(DialFailed("refused", "refused"))
        self.watch.look()
        self.assertEqual((len(self.asked), self.lines("has encrypt")), (1, []))
        self.clock.advance(AGAIN)
        self.watch.look()
        self.asked[1][1].callback(None)
        self.assertEqual((len(self.asked), self.lines("TLS:")), (2, []))

    def test_speaks_tls_now(self) -> None:
        """A forward that leads elsewhere is looked at anew."""
        self.outside = True
        self.watch.look()
        self.asked[0][1].callback("it answers in clear")
        moved = ForwardConfig.model_validate({"name": "bare", "listen": 0, "dial": "10.0.0.2:443", "encrypt": False})
        self.watch.change([moved])
        self.watch.look()
        self.asked[1][1].callback(None)
        self.assertEqual((self.watch.in_clear, self.lines("10.0.0.2")), ({}, []))

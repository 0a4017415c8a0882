"""What a client says of a mapping that its server refuses: the cure belongs to the reason, not to the code alone."""

from __future__ import annotations

from twisted.internet.testing import EventLoggingObserver
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.address import HostPort
from gotunnel.client import answers
from gotunnel.client.published import Published
from gotunnel.config.model import MappingConfig
from gotunnel.core.backoff import Backoff
from gotunnel.wire.messages import MappingResult


class RefusalTests(SynchronousTestCase):
    """One mapping, alone or in a group."""

    def said(self, code: str, reason: str, **mapping: object) -> str:
        """Return the line for a refusal."""
        log = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        config = MappingConfig.model_validate({"name": "web", "local": 1, "remote": 80, **mapping})
        published = Published([config], HostPort("server", 17000), lambda: None)
        published.answered((MappingResult("web", "fail", None, code, reason),))
        (line,) = [formatEvent(event) for event in log]
        return line

    def test_cures(self) -> None:
        """A limit of the configuration, and a server that stops; a rule, and a system that does not let it; another
        member without the group, and another program."""
        for group in ({}, {"group": "g"}):
            for code, reason, has, has_not in (
                ("limit", "this client may publish 2 mappings", "limits.mappings", "again automatically"),
                ("limit", "the server is about to stop", "again automatically", "limits.mappings"),
                ("acl_denied", "port 80 is not allowed; allowed: 1024-65535", "allow_ports", "CAP_NET_BIND"),
                ("acl_denied", "*:80: the server's system does not let it listen there", "CAP_NET_BIND", "allow_ports"),
                ("port_in_use", "*:80: another program on the server listens there", "end that program", "group"),
                ("port_in_use", "client other has it", "choose another", "end that program"),
                ("bad_request", "10.0.0.1:80: the server has no such address", "one that it has", "allow_"),
                # The server's log says that this one says what to do.
                ("bad_request", "[fe80::1]:80: Invalid argument", "correct the mapping's remote", "server's log"),
            ):
                line = self.said(code, reason, **group)
                self.assertIn(has, line, line)
                self.assertNotIn(has_not, line, line)

    def test_told_once(self) -> None:
        """A mapping that stays refused is told once, and then each hour with how often it was not; another reason at
        once, and the first one again after the port was open."""
        log = EventLoggingObserver.createWithCleanup(self, globalLogPublisher)
        config = MappingConfig.model_validate({"name": "web", "local": 1, "remote": 80})
        rounds: list[bool] = []
        published = Published([config], HostPort("server", 17000), lambda: rounds.append(published.news))
        denied = MappingResult("web", "fail", None, "acl_denied", "port 80 is not allowed")
        limit = MappingResult("web", "fail", None, "limit", "this client may publish 2 mappings")
        opened = MappingResult("web", "ok", 80)
        for now in range(0, 3631, 30):
            published.answered((denied,), now)
        for now in range(3640, 3700, 30):
            published.answered((limit,), now)
            published.answered((denied,), now)
        published.answered((opened,), 3700)
        published.answered((denied,), 3701)
        lines = [formatEvent(event) for event in log if event["log_level"].name == "warn"]
        self.assertEqual([line.split(": ")[2] for line in lines], ["acl_denied", "acl_denied", "limit", "acl_denied"])
        self.assertIn("(120 more like this were not logged)", lines[1])
        self.assertEqual(rounds.count(True), 4)
        published.begin()
        published.answered((denied,), 3702)
        self.assertTrue(published.news)

    def test_pauses_begin_anew(self) -> None:
        """Once the server has opened what it refused, the next refusal is asked about soon again. What the server
        cannot carry at all is never asked for, and changes nothing about that."""
        self.patch(answers, "Backoff", lambda **ladder: Backoff(random=lambda: 0.5, **ladder))
        configs = [
            MappingConfig.model_validate({"name": name, "local": 1, "remote": 80, "protocol": protocol})
            for name, protocol in (("dns", "udp"), ("web", "tcp"))
        ]
        them = Published(configs, HostPort("server", 17000), lambda: None)
        them.begin(can_udp=False)
        first = them.pause()
        for _ in range(5):
            them.answered((MappingResult("web", "fail", None, "limit", "too many"),))
            them.pause()
        them.answered((MappingResult("web", "ok", 80),))
        self.assertEqual(them.pause(), first)

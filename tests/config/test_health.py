"""`health` of a mapping, its short forms, and the original's key that stands for it."""

from __future__ import annotations

from gotunnel.config.explain import explain
from gotunnel.config.health import HealthConfig, HealthTlsConfig
from tests.config.files import CLIENT, ClientTestCase


class HealthTests(ClientTestCase):
    """Everything below `health`."""

    def health(self, text: str, more: str = "") -> HealthConfig | None:
        """Load one mapping with such a health."""
        (mapping,) = self.client(f"mappings: [{{local: 80, remote: 80, health: {text}}}]{more}").mappings
        return mapping.health

    def wrong(self, text: str) -> list[tuple[str, str]]:
        """Return what is wrong with it: the key below health, and why."""
        found = self.refused(f"mappings: [{{local: 80, remote: 80, health: {text}}}]")
        return [(key.removeprefix("client.mappings[0].health").removeprefix("."), why) for key, why in found]

    def test_defaults(self) -> None:
        """Nothing is probed unless health is set; then every 10 s, within 5 s, three failures, one success."""
        (mapping,) = self.client("mappings: [{local: 80, remote: 80}]").mappings
        self.assertIsNone(mapping.health)
        health = self.health("{}")
        assert health is not None
        self.assertEqual(
            (health.type, health.interval, health.timeout, health.failures, health.successes),
            ("tcp", 10, 5, 3, 1),
        )
        self.assertEqual(
            (health.path, health.status, health.host, health.tls), ("/", ("200-399",), None, None)
        )

    def test_short(self) -> None:
        """One word stands for a group of nothing but the type; false for none."""
        self.assertEqual(self.health("tcp"), HealthConfig(type="tcp"))
        self.assertEqual(self.health("http"), HealthConfig(type="http"))
        for text in ("false", "off", "no"):
            self.assertIsNone(self.health(text), text)
        for text in ("true", "udp", "3", "[tcp]", "on"):
            ((_, why),) = self.wrong(text)
            self.assertTrue(why.endswith("is not one of tcp, http, command"), why)

    def test_full(self) -> None:
        """All keys."""
        ca = self.write("c", "ca.pem")
        health = self.health(
            "{type: http, interval: 0.5, timeout: 2, failures: 1, successes: 2, path: '/a?b=c',"
            " status: [204, '300-302'], host: 'web.example:81',"
            " tls: {ca: ca.pem, server_name: x.example, verify: false}}"
        )
        tls = HealthTlsConfig.model_construct(ca=ca, server_name="x.example", verify=False)
        assert health is not None
        self.assertEqual((health.interval, health.timeout, health.failures, health.successes), (0.5, 2, 1, 2))
        self.assertEqual(
            (health.path, health.status, health.host), ("/a?b=c", ("204", "300-302"), "web.example:81")
        )
        self.assertEqual(health.tls, tls)

    def test_tls_flag(self) -> None:
        """True is TLS that checks all, false is none."""
        on, off = self.health("{type: http, tls: true}"), self.health("{type: http, tls: false}")
        assert on is not None and off is not None
        self.assertEqual((on.tls, off.tls), (HealthTlsConfig(), None))
        self.assertEqual(self.wrong("{type: http, tls: 3}"), [("tls", "3 is neither true nor false")])

    def test_expects(self) -> None:
        """Codes and ranges, both ends included."""
        health = HealthConfig(type="http", status=[204, "300-302"])  # type: ignore[arg-type]
        found = [code for code in range(200, 600) if health.expects(code)]
        self.assertEqual(found, [204, 300, 301, 302])
        self.assertTrue(
            HealthConfig().expects(200) and HealthConfig().expects(399) and not HealthConfig().expects(400)
        )

    def test_certificate_name(self) -> None:
        """The name to check: server_name, else the host that is asked for, else the target's."""
        for keys, name in (
            ({}, "target"),
            ({"host": "h.example:81"}, "h.example"),
            ({"host": "h.example", "tls": {"server_name": "s.example"}}, "s.example"),
        ):
            health = HealthConfig.model_validate({"type": "http", "tls": True, **keys})
            self.assertEqual(health.certificate_name("target"), name)

    def test_wrong_values(self) -> None:
        """Each key is refused by name."""
        for text, key in (
            ("interval: 0", "interval"),
            ("interval: x", "interval"),
            ("timeout: 0.01", "timeout"),
            ("failures: 0", "failures"),
            ("successes: 1.5", "successes"),
            ("path: healthz", "path"),
            ("path: '/a b'", "path"),
            ('path: "/a\\r\\nX: y"', "path"),
            ("path: '/é'", "path"),
            ("status: 199", "status"),
            ("status: 600", "status"),
            ("status: '399-200'", "status"),
            ("status: [200, x]", "status[1]"),
            ("status: []", "status"),
            ("status: true", "status"),
            ("host: 'a b'", "host"),
            ('host: "a\\r\\nX: y"', "host"),
            ("host: 'a:x'", "host"),
            ("tls: {ca: none.pem}", "tls.ca"),
            ("tls: {name: x}", "tls.name"),
            ("url: /", "url"),
        ):
            self.assertEqual([found for found, _ in self.wrong(f"{{type: http, {text}}}")], [key], text)

    def test_keys_of_http(self) -> None:
        """What only a GET has is refused where only a connection is made, whatever type is meant."""
        for text, keys in (
            ("{path: /healthz}", ["path"]),
            ("{type: tcp, status: 200, host: x, tls: true}", ["status", "host", "tls"]),
        ):
            self.assertEqual(self.wrong(text), [(key, "is for type: http") for key in keys])

    def test_original_key(self) -> None:
        """health_check_interval probes every mapping that says nothing of health, those of local_ports too."""
        client = self.client(
            "health_check_interval: 30\n  local_ports: 22\n  mappings:\n"
            "  - {name: a, local: 1, remote: 1}\n"
            "  - {name: b, local: 2, remote: 2, health: {type: http, interval: 5}}\n"
            "  - {name: c, local: 3, remote: 3, health: false}\n"
        )
        every = HealthConfig(type="tcp", interval=30)
        self.assertEqual(
            [mapping.health for mapping in client.mappings],
            [every, every, HealthConfig(type="http", interval=5), None],
        )
        self.assertEqual([key for key, _ in self.refused("local_ports: 22\n  health_check_interval: 0")],
                         ["client.health_check_interval"])  # fmt: skip
        self.assertIsNone(self.client("local_ports: 22").mappings[0].health)

    def test_collisions(self) -> None:
        """A relative path in health hides no collision."""
        self.write("c", "ca.pem")
        found = self.refused(
            "mappings: [{name: a, local: 1, remote: 9, health: {type: http, tls: {ca: ca.pem}}},"
            " {name: b, local: 2, remote: 9}]"
        )
        self.assertEqual([key for key, _ in found], ["client.mappings[1].remote"])

    def test_explained(self) -> None:
        """`gotunnel check` says what is probed, how, and how often."""
        for text, how in (
            ("tcp", "tcp every 10 s"),
            ("{type: http, path: /x, interval: 2.5}", "http /x every 2.5 s"),
            ("{type: http, tls: true}", "https / every 10 s"),
        ):
            lines = explain(self.load(f"{CLIENT}  mappings: [{{local: 80, remote: 80, health: {text}}}]\n"))
            self.assertTrue(lines[-1].endswith(f", while a probe finds it there ({how})"), lines[-1])

"""The alert rules and the dashboard of `etc/` ask for what a process really tells."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gotunnel.admin.api import Api
from gotunnel.admin.events import Events
from gotunnel.admin.lag import Lag
from gotunnel.admin.metrics import exposition
from gotunnel.core.outcome import Outcome
from gotunnel.core.view import MappingState, SessionState
from gotunnel.net.descriptors import Descriptors
from gotunnel.server.view import ServerView
from tests.processes import ROOT
from tests.server.world import World

RULES = ROOT / "etc" / "prometheus" / "gotunnel.rules.yml"
DASHBOARD = ROOT / "etc" / "grafana" / "gotunnel.json"
PAGES = [ROOT / "docs" / language / "admin.md" for language in ("en", "zh")]
METRIC = re.compile(r"\b(?:gotunnel|process)_[a-z0-9_]+\b")
CHOSEN = re.compile(r'\b(state|outcome|direction|kind)(?:=~?|!=)"([a-z_|]+)"')
WORDS = {
    "state": {each.value for each in (*SessionState, *MappingState)} | {"idle", "busy", "requested"},
    "outcome": {each.value for each in Outcome}, "direction": {"up", "down"}, "kind": {"mapping", "forward", "egress"},
}  # fmt: skip


def told() -> dict[str, set[str]]:
    """Return the names of all samples of a server with one client, and the labels of each."""
    world = World()
    world.login().publish(8080)
    made = {"hub": world.hub, "began": 0.0, "draining": False, "accepting": True, "address": "here", "egress": None,
            "listeners": (), "descriptors": Descriptors(world.clock)}  # fmt: skip
    view = ServerView(SimpleNamespace(**made))  # type: ignore[arg-type]
    api = Api(view, {}, Lag(Clock()), Events())
    _, text = exposition(api, "")
    names: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            names.setdefault(sample.name, set()).update(sample.labels)
        names.setdefault(family.name, set())
    return names


def named(expression: str) -> set[str]:
    """Return the metrics that an expression names."""
    return set(METRIC.findall(expression))


class MonitoringTests(SynchronousTestCase):
    """Names and values."""

    def setUp(self) -> None:
        self.told = told()

    def assertAsked(self, expression: str, where: str) -> None:
        """All that it names is there."""
        metrics = named(expression)
        self.assertTrue(metrics or expression.startswith("up{"), where)
        for metric in metrics:
            self.assertIn(metric, self.told, where)
        for label, values in CHOSEN.findall(expression):
            self.assertLessEqual(set(values.split("|")), WORDS[label], where)

    def rules(self) -> Iterator[dict[str, Any]]:
        """Yield each rule."""
        for group in yaml.safe_load(RULES.read_text())["groups"]:
            yield from group["rules"]

    def test_rules(self) -> None:
        """Each alert asks for metrics that exist, and says what is wrong and what to do."""
        names = [rule["alert"] for rule in self.rules()]
        self.assertEqual(len(names), len(set(names)))
        self.assertGreater(len(names), 8)
        for rule in self.rules():
            self.assertAsked(rule["expr"], rule["alert"])
            self.assertLessEqual({"summary", "cure"}, rule["annotations"].keys())
            self.assertIn(rule["labels"]["severity"], ("warning", "critical"))

    def test_dashboard(self) -> None:
        """Each panel asks for metrics that exist; panels do not lie on each other."""
        board = json.loads(DASHBOARD.read_text())
        taken: set[tuple[int, int]] = set()
        for panel in board["panels"]:
            for target in panel["targets"]:
                self.assertAsked(target["expr"], panel["title"])
            at = panel["gridPos"]
            cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
            self.assertFalse(cells & taken, panel["title"])
            taken |= cells
        self.assertEqual(len({panel["id"] for panel in board["panels"]}), len(board["panels"]))

    def test_all_on_the_dashboard(self) -> None:
        """And all that a process tells of gotunnel is on one of its panels, or in a rule."""
        asked = {name for panel in json.loads(DASHBOARD.read_text())["panels"] for target in panel["targets"]
                 for name in named(target["expr"])}  # fmt: skip
        asked |= {name for rule in self.rules() for name in named(rule["expr"])}
        families = {re.sub("_(total|info|bucket|count|sum)$", "", name) for name in self.told}
        self.assertEqual(families - {re.sub("_(total|info|bucket)$", "", name) for name in asked}, set())

    def test_pages(self) -> None:
        """What the documents name is there, and nothing is missing."""
        for page in PAGES:
            text = page.read_text("utf-8")
            metrics = set(re.findall(r"`((?:gotunnel|process)_[a-z0-9_]+)`", text))
            self.assertLessEqual(metrics, self.told.keys(), page)
            families = {re.sub("_(total|info|bucket|count|sum)$", "", name) for name in self.told}
            self.assertEqual(families - {re.sub("_(total|info)$", "", name) for name in metrics}, set(), page)

    def test_labels_are_bounded(self) -> None:
        """No label's value comes from a client: a client that names itself anew each minute makes no new series."""
        self.assertEqual({label for labels in self.told.values() for label in labels}, {
            "code", "direction", "kind", "le", "outcome", "python", "reason", "relay", "role", "state", "twisted",
            "version",
        })  # fmt: skip

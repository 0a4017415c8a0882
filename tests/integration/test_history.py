"""The history beside a server that runs: what a reload does to it, and that each visitor is counted on his mapping."""

from __future__ import annotations

from gotunnel.config.model import UsageConfig
from gotunnel.history.question import Question
from gotunnel.server.view import ServerView
from gotunnel.tap.admin import Administered, administered
from tests.integration.base import IntegrationTestCase, reactor


class HistoryTests(IntegrationTestCase):
    """A server as it is started, but for its admin socket."""

    async def begin(self) -> tuple[Administered, ServerView]:
        """Start it."""
        server = await self.server()
        view = ServerView(server)
        made = administered(server, view, {}, server.hub.config, reactor, self.folder)
        made.history.startService()
        self.addCleanup(lambda: made.history.stopService() if made.history.running else None)
        return made, view

    async def test_counted(self) -> None:
        """Visitors of two mappings, one of whom stays and one of whom finds no target: the answer agrees with the
        counters, and the sum of all mappings with the whole."""
        made, view = await self.begin()
        target, _ = await self.target()
        client = await self.open_client(made.role, self.mapping(target), self.mapping(1, "gone"))
        await self.echoes(self.port_of(client), b"hello")
        (await self.echoes(self.port_of(client), b"you")).hang_up()
        await self.connect(self.port_of(client, "gone"))
        await self.until(lambda: view.usage.closed == 2, "two are over")
        asked = Question(0, 4e9)
        rows = {row["mapping"]: row for row in (await made.history.ask(asked))["usage"]}
        self.assertEqual((rows["web"]["up"], rows["web"]["down"], rows["web"]["streams"]), (8, 8, 2))
        self.assertEqual((rows["gone"]["streams"], rows["gone"]["failures"]), (1, 1))
        ((whole),) = (await made.history.ask(Question(0, 4e9, by="total")))["usage"]
        self.assertEqual((whole["up"], whole["down"]), view.carried())
        self.assertEqual(whole["streams"], view.usage.opened)
        self.assertGreaterEqual(whole["peak"], 1)

    async def test_reload(self) -> None:
        """Switched off it writes what is left and counts no more; switched on it goes on."""
        made, view = await self.begin()
        config = made.role.hub.config
        self.assertTrue(view.usage.accounts.kept)
        await made.role.reload(config.model_copy(update={"usage": UsageConfig(enabled=False)}))
        self.assertFalse(view.usage.accounts.kept)
        report = await made.role.reload(config.model_copy(update={"usage": UsageConfig(keep="7d")}))
        self.assertEqual(report.lines, ("changed: server.usage.enabled, server.usage.keep",))
        self.assertTrue(view.usage.accounts.kept)

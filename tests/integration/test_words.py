"""Real failures, said in Chinese: no sentence of ours stays English in it, neither in the log, nor in the latest
events, nor where an operator looks."""

from __future__ import annotations

import re
import struct
from typing import Any

from twisted.internet.protocol import Factory, Protocol

from gotunnel.address import HostPort
from gotunnel.admin.events import Events
from gotunnel.cli.logoutput import line_of
from gotunnel.client.service import ClientService
from gotunnel.client.view import ClientView
from gotunnel.config.model import TlsClientConfig, TlsServerConfig
from gotunnel.i18n.events import set_log_language
from gotunnel.i18n.language import language
from gotunnel.server.view import ServerView
from tests.integration.base import IntegrationTestCase, Peer, reactor
from tests.ports import free_port

CODE = re.compile(r"`[^`]*`|gotunnel(?: [a-z-]+)+|\[[a-z]+\]")
"""Commands and keys, which are the same in all languages."""
ENGLISH = re.compile(r"\b[A-Za-z]{2,},? [a-z]{2,}\b")
"""Two words behind one another: more than a name, a key or a code."""
WRONG = "0f3a9c51e8d24b60af17c3925be8d0460f3a9c51"
OTHER_PIN = "sha256:" + "A" * 43 + "="


class OtherVersion(Protocol):
    """A server of a version to come, in clear: it answers whatever comes as the protocol wants it."""

    def dataReceived(self, data: bytes) -> None:
        words = b'{"type":"error","code":"version","reason":"this server speaks version 3 of the protocol only"}'
        self.transport.write(struct.pack(">I", len(words)) + words)
        self.transport.loseConnection()


class Silent(Peer):
    """A service that takes connections and closes them in disorder."""

    def connectionMade(self) -> None:
        self.hang_up()


class ChineseTests(IntegrationTestCase):
    """One test for all: each failure takes a moment, and none needs the others to be over."""

    def setUp(self) -> None:
        super().setUp()
        self.quick()
        self.events = Events()
        self.events.start()
        self.addCleanup(self.events.stop)
        self.addCleanup(set_log_language, "en")
        set_log_language("zh")
        self.clients: list[ClientService] = []

    def begin(self, server: Any, *mappings: Any, name: str, **config: Any) -> ClientService:
        """Start a client that has a name."""
        self.clients.append(self.client(server, *(mappings or [self.mapping(1)]), name=name, **config))
        return self.clients[-1]

    def listen(self, protocol: type[Protocol]) -> int:
        """Start something that is no service of ours; return its port."""
        port = reactor.listenTCP(0, Factory.forProtocol(protocol), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        found: int = port.getHost().port
        return found

    def check(self, texts: list[str]) -> None:
        """See to it that there is no English in them."""
        for text in texts:
            self.assertIsNone(ENGLISH.search(CODE.sub("", text)), text)

    async def test_no_english(self) -> None:
        """Refused mappings, a taken port, wrong tokens, TLS that does not come about, names that do not resolve,
        connections that are refused or break, other versions, targets that are down."""
        server = await self.server(allow_ports=("1024-65535",))
        clear = await self.server(tls=TlsServerConfig(mode="off"))
        strict = await self.server(allow_ports=("9",))
        taken, nobody = self.listen(Silent), self.listen(Silent)
        down = free_port(self)
        health = {"interval": 0.5, "timeout": 0.2}
        first = self.begin(
            server, self.mapping(down, "down"), self.mapping(nobody, "breaks", health={"type": "http", **health}),
            self.mapping(nobody, "taken", taken), self.mapping(nobody, "odd", health={"type": "command", **health,
            "command": ["false"]}), name="first",
        )  # fmt: skip
        self.begin(strict, self.mapping(down, remote=1024), name="refused")
        await self.said("mapping down open")
        self.begin(server, name="wrong", token=WRONG)
        self.begin(server, name="pinned", tls=TlsClientConfig.model_validate({"pin": OTHER_PIN}))
        self.begin(server, name="clear", tls=TlsClientConfig(mode="off"))
        self.begin(clear, name="enciphered")
        self.begin(down, name="alone")
        self.begin(taken, name="broken")
        self.begin(self.listen(OtherVersion), name="later", tls=TlsClientConfig(mode="off"))
        self.begin(server, name="nameless", server_addr=HostPort("no-such-name.invalid", 1))
        visitor = await self.connect(self.port_of(first, "down"))
        await self.until(lambda: visitor.ended, "the visitor is reset")
        for words in (
            "did not reach its target", "refused by the server", "does not let this client in", "was refused",
            "name does not resolve", "connection refused", "speaks version 3", "sits in between", "is down", "tls.mode",
        ):  # fmt: skip
            await self.said(words)
        await self.until(lambda: all(each.links and each.ready() for each in self.views()), "all have tried")
        say = language("zh").sentence
        lines = [line_of(event) for event in self.log if event.get("log_namespace", "").startswith("gotunnel")]
        self.assertGreater(len(lines), 20)
        self.check([line.partition("] ")[2] for line in lines])
        self.check([say(event.text) for event in self.events.latest])
        for view in [*self.views(), ServerView(server), ServerView(strict)]:
            shown = (*view.sessions(), *view.mappings(), *view.ready(), *view.alive())
            self.check([say(each.reason) for each in shown])

    def views(self) -> list[ClientView]:
        """What an operator sees of the clients."""
        return [ClientView(each, reactor) for each in self.clients]

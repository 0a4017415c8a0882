"""What a client asks of its server: in order, and no more at a time than a server takes."""

from __future__ import annotations

from functools import partial

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.address import HostPort
from gotunnel.client.published import Published
from gotunnel.client.requests import AT_ONCE, Requests
from gotunnel.config.model import MappingConfig
from gotunnel.errors import RemoteProtocolError
from gotunnel.server.requests import REQUESTS
from gotunnel.wire.messages import MappingState, Message, Nodes, Register, RegisterResp, Unregister


class RequestsTests(SynchronousTestCase):
    """Requests, and the messages behind them."""

    def setUp(self) -> None:
        """Keep what is sent."""
        self.sent: list[Message] = []
        self.requests = Requests(self.sent.append)

    def test_in_order(self) -> None:
        """Each has the next number, and its answer is the next one; another answer is a breach."""
        self.requests.ask(partial(Nodes, nodes=("a",)))
        self.requests.ask(partial(Unregister, names=("b",)), [MappingState("c", "down", "")])
        self.assertEqual(self.sent, [Nodes(1, ("a",)), Unregister(2, ("b",)), MappingState("c", "down", "")])
        self.assertRaises(RemoteProtocolError, self.requests.answered, RegisterResp(2, "ok"))
        self.assertEqual(self.requests.answered(RegisterResp(1, "ok")), Nodes(1, ("a",)))
        self.assertEqual(self.requests.answered(RegisterResp(2, "ok")), Unregister(2, ("b",)))
        self.assertRaises(RemoteProtocolError, self.requests.answered, RegisterResp(3, "ok"))

    def test_few_at_a_time(self) -> None:
        """Beyond so many, each waits for an answer, and what belongs behind it waits with it."""
        self.assertLess(AT_ONCE, REQUESTS)
        for number in range(AT_ONCE + 1):
            self.requests.ask(partial(Unregister, names=(str(number),)), [MappingState(str(number), "down", "")])
        self.assertEqual(len(self.sent), 2 * AT_ONCE)
        self.requests.answered(RegisterResp(1, "ok"))
        self.assertEqual(self.sent[-2:], [Unregister(AT_ONCE + 1, ("32",)), MappingState("32", "down", "")])

    def test_as_it_is_then(self) -> None:
        """What is said behind a request that had to wait is what holds when it is sent: a target may have gone or come
        meanwhile, and the server was told then of a mapping that it did not have yet."""
        mappings = [MappingConfig(name=name, local=80, remote=0) for name in ("goes", "comes", "removed")]
        published = Published(mappings, HostPort("192.0.2.1", 17000), lambda: None)
        for name in ("comes", "removed"):
            published.set_down(name, "it was down")
        for _ in range(AT_ONCE):
            self.requests.ask(partial(Nodes, nodes=()))
        ((batch, more),) = published.batches()
        self.requests.ask(partial(Register, mappings=batch, more=more), published.down(batch))
        published.set_down("goes", "it is down")
        published.set_down("comes", None)
        del published.statuses["removed"]
        self.requests.answered(RegisterResp(1, "ok"))
        self.assertEqual(self.sent[AT_ONCE:], [
            Register(AT_ONCE + 1, batch, more), MappingState("goes", "down", "it is down"),
        ])  # fmt: skip

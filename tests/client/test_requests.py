"""What a client asks of its server: in order, and no more at a time than a server takes."""

from __future__ import annotations

from functools import partial

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.client.requests import AT_ONCE, Requests
from gotunnel.errors import RemoteProtocolError
from gotunnel.server.requests import REQUESTS
from gotunnel.wire.messages import MappingState, Message, Nodes, RegisterResp, Unregister


class RequestsTests(SynchronousTestCase):
    """Requests, and the messages behind them."""

    def setUp(self) -> None:
        """Keep what is sent."""
        self.sent: list[Message] = []
        self.requests = Requests(self.sent.append)

    def test_in_order(self) -> None:
        """Each has the next number, and its answer is the next one; another answer is a breach."""
        self.requests.ask(partial(Nodes, nodes=("a",)))
        self.requests.ask(partial(Unregister, names=("b",)), lambda: [MappingState("c", "down", "")])
        self.assertEqual(self.sent, [Nodes(1, ("a",)), Unregister(2, ("b",)), MappingState("c", "down", "")])
        self.assertRaises(RemoteProtocolError, self.requests.answered, RegisterResp(2, "ok"))
        self.assertEqual(self.requests.answered(RegisterResp(1, "ok")), Nodes(1, ("a",)))
        self.assertEqual(self.requests.answered(RegisterResp(2, "ok")), Unregister(2, ("b",)))
        self.assertRaises(RemoteProtocolError, self.requests.answered, RegisterResp(3, "ok"))

    def test_few_at_a_time(self) -> None:
        """Beyond so many, each waits for an answer, and what belongs behind it waits with it."""
        self.assertLess(AT_ONCE, REQUESTS)
        for number in range(AT_ONCE + 1):
            state = MappingState(str(number), "down", "")
            self.requests.ask(partial(Unregister, names=(str(number),)), lambda state=state: [state])
        self.assertEqual(len(self.sent), 2 * AT_ONCE)
        self.requests.answered(RegisterResp(1, "ok"))
        self.assertEqual(self.sent[-2:], [Unregister(AT_ONCE + 1, ("32",)), MappingState("32", "down", "")])

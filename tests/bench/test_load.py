"""The load generator and its target, without a tunnel between them: counts, limits of time, errors."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from bench.process import BenchError, LoadProcess, Processes


class LoadTests(SynchronousTestCase):
    """Commands as `bench` gives them."""

    def setUp(self) -> None:
        folder = Path(self.mktemp()).absolute()
        folder.mkdir(parents=True)
        processes = Processes(folder)
        self.addCleanup(processes.__exit__, None, None, None)
        target = processes.talk("target")
        assert target.stdout is not None
        self.port = int(target.stdout.readline())
        self.load = LoadProcess(processes)

    def knock(self, count: int, at_once: int = 1, **more: Any) -> dict[str, Any]:
        return self.load.ask("knock", **{"port": self.port, "count": count, "at_once": at_once, "seconds": 20, **more})

    def test_counts(self) -> None:
        """As many are done as were asked for."""
        self.assertEqual(self.knock(10)["done"], 10)
        self.assertEqual(self.knock(10, 4)["done"], 10)

    def test_time_is_up(self) -> None:
        """It stops when its time is up, at once, and says how many were done."""
        for at_once in (1, 8):
            began = time.monotonic()
            done = self.knock(1_000_000, at_once, seconds=0.2)["done"]
            self.assertTrue(0 < done < 1_000_000, done)
            self.assertLess(time.monotonic() - began, 5)

    def test_group(self) -> None:
        """Connections that are kept can be used, all of them, until they are left."""
        self.knock(3, keep="work")
        self.assertEqual(self.load.ask("exchange", group="work", count=5, size=64, seconds=20)["done"], 15)
        self.assertEqual(self.load.ask("leave", group="work")["done"], 3)
        self.assertEqual(self.load.ask("leave", group="work")["done"], 0)

    def test_alone(self) -> None:
        """One connection tells how long its exchanges took."""
        self.knock(1, keep="work")
        answer = self.load.ask("exchange", group="work", count=5, size=64, seconds=20)
        self.assertEqual(answer["done"], 5)
        self.assertTrue(0 < answer["median"] <= answer["seconds"])

    def test_bulk(self) -> None:
        """Every byte is counted, on each stream, and a connection can be used again."""
        for direction in ("download", "upload"):
            self.knock(2, 2, keep=direction, mode=direction[0].upper())
            for size in (1, 3_000_001):
                self.assertEqual(self.load.ask(direction, group=direction, size=size)["done"], 2 * size)

    def test_refused(self) -> None:
        """What fails is told in words, and the next command works."""
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        self.assertIn("Refused", str(self.assertRaises(BenchError, self.knock, 1, port=port)))
        self.assertEqual(self.knock(1)["done"], 1)

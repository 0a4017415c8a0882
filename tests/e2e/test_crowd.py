"""Many visitors at the same moment, each with his own bytes."""

from __future__ import annotations

import asyncio
import hashlib
import re

from gotunnel.core.crowds import MOST_LINES
from tests.e2e.harness import TunnelTestCase

VISITORS = 800

LONGEST = 90
"""Seconds for all of them on a busy machine."""


class CrowdTests(TunnelTestCase):
    """Visitors and target are this process; both are an asyncio loop's."""

    def test_nobody_is_mixed_up(self) -> None:
        """800 visitors are open at the same moment, and speak in two rounds: each gets his own bytes back, and a clean
        end. No byte is lost, and none is another's. Not each has a line in the log, but each is counted in it."""
        # On a busy machine 800 TLS handshakes may take longer than a visitor waits by default.
        server = self.server(leg_wait=LONGEST)
        public = self.port()
        open_at_once, wrong = asyncio.run(self.crowd(public))
        self.assertEqual((open_at_once, wrong), (VISITORS, []))
        server.wait_for("visitor .* ended: completed", MOST_LINES)
        server.stop()
        sums = r"(\d+) more visitors of web ended within 10 s, too many for a line each: completed (\d+); \d+ bytes up"
        found = [(int(count), int(completed)) for count, completed in re.findall(sums, server.said)]
        lines = server.count(r"\] visitor .* ended: completed")
        self.assertEqual(lines + sum(completed for _, completed in found), VISITORS)
        self.assertEqual(lines + sum(count for count, _ in found), VISITORS)
        self.assertLess(lines, VISITORS // 2)

    async def crowd(self, public: int) -> tuple[int, list[str]]:
        """Return how many targets were open at once, and what went wrong."""
        present: set[bytes] = set()
        everybody = asyncio.Event()
        targets: set[asyncio.Future[None]] = set()

        async def target(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                name = await reader.readexactly(4)
                present.add(name)
                if len(present) == VISITORS:
                    everybody.set()
                await everybody.wait()
                writer.write(name)
                while data := await reader.read(1 << 16):
                    writer.write(data)
                    await writer.drain()
                writer.write(b"end of " + name)
            except (OSError, EOFError):
                pass  # the visitor says so too
            finally:
                writer.close()

        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # A task of our own: asyncio's would log each one that is cancelled when the test fails.
            targets.add(asyncio.ensure_future(target(reader, writer)))

        async def visitor(number: int) -> str | None:
            name = number.to_bytes(4, "big")
            reader, writer = await asyncio.open_connection(self.host, public)
            try:
                writer.write(name)
                if await reader.readexactly(4) != name:
                    return f"{number}: another's greeting"
                for turn in range(2):
                    sent = hashlib.shake_128(name + bytes([turn])).digest(5000 + number)
                    writer.write(sent)
                    if await reader.readexactly(len(sent)) != sent:
                        return f"{number}: other bytes in round {turn}"
                writer.write_eof()
                last = await reader.read()
                return None if last == b"end of " + name else f"{number}: the end is {last!r}"
            except (OSError, EOFError) as error:
                return f"{number}: {error!r:.80}"
            finally:
                writer.close()

        serving = await asyncio.start_server(accepted, "127.0.0.1", 0, backlog=VISITORS)
        async with serving:
            local = serving.sockets[0].getsockname()[1]
            await asyncio.to_thread(self.client, {"web": (local, public)})
            tasks = [asyncio.create_task(visitor(number)) for number in range(VISITORS)]
            done, stuck = await asyncio.wait(tasks, timeout=LONGEST)
            wrong = [result for result in (task.result() for task in done) if result is not None]
            if stuck:
                wrong.append(f"{len(stuck)} visitors wait for bytes")
            for task in stuck:
                task.cancel()
        return len(present), wrong

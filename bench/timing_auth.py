"""`python -m bench.timing_auth`: does the time of a refused login tell why it was refused? Thousands of logins of
several kinds, mixed, against a server process over loopback without TLS; medians, their difference, and whether it
means anything. It measures, and judges nothing: a busy machine makes noise."""

from __future__ import annotations

import argparse
import json
import math
import random
import secrets
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.ours import entry
from bench.process import Processes, python_environment
from gotunnel.wire.frames import encode_frame
from gotunnel.wire.handshake import NO_BINDING, ClientHandshake

__all__ = ["compare", "main", "mann_whitney"]

LOGINS = 20_000
KNOWN = "known-client"


def mann_whitney(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the two-sided p of the Mann–Whitney U test, by the normal approximation with a correction for ties: how
    likely two such samples are when neither comes from something that is larger. Raises ValueError for empty ones."""
    if not one or not other:
        raise ValueError("nothing to compare")
    ranked = sorted([(value, 0) for value in one] + [(value, 1) for value in other])
    total, rank_sum, ties, start = len(ranked), 0.0, 0, 0
    while start < total:
        end = start
        while end < total and ranked[end][0] == ranked[start][0]:
            end += 1
        rank_sum += (start + 1 + end) / 2 * sum(1 for _, which in ranked[start:end] if which == 0)
        ties += (end - start) ** 3 - (end - start)
        start = end
    m, n = len(one), len(other)
    u = rank_sum - m * (m + 1) / 2
    variance = m * n / 12 * (total + 1 - ties / (total * (total - 1)))
    return 1.0 if variance <= 0 else math.erfc(abs(u - m * n / 2) / math.sqrt(2 * variance))


def compare(times: dict[str, list[float]]) -> list[str]:
    """Return a table: each kind against the first one. Times are seconds."""
    (first, base), *others = times.items()
    median = statistics.median(base)
    lines = [f"{'kind':42}{'logins':>8}{'median µs':>11}{'difference':>12}{'p':>8}"]
    lines.append(f"{first:42}{len(base):8}{median * 1e6:11.1f}")
    for kind, found in others:
        own = statistics.median(found)
        p = mann_whitney(base, found)
        lines.append(f"{kind:42}{len(found):8}{own * 1e6:11.1f}{(own / median - 1) * 100:11.2f}%{p:8.3f}")
    return lines


class Attempt:
    """One kind of login."""

    def __init__(self, port: int, name: Callable[[], str], token: str, spoil: Callable[[bytes], bytes]) -> None:
        self._port, self._name, self._token, self._spoil = port, name, token, spoil

    def seconds(self) -> float:
        """Log in; return how long the refusal took, from `auth` to the first byte of the answer."""
        with socket.create_connection(("127.0.0.1", self._port), 10) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            handshake = ClientHandshake(self._name(), self._token, b"timing", "timing")
            sock.sendall(encode_frame(handshake.hello()))
            challenge = _frame(sock)
            auth = encode_frame(self._spoil(handshake.receive_challenge(challenge, NO_BINDING)))
            began = time.perf_counter()
            sock.sendall(auth)
            sock.recv(1, socket.MSG_PEEK)
            taken = time.perf_counter() - began
            answer = _frame(sock)
            if b'"auth_failed"' not in answer:
                raise SystemExit(f"the server said {answer!r}")
            return taken


def _frame(sock: socket.socket) -> bytes:
    data = b""
    while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:4], "big"):
        part = sock.recv(4096)
        if not part:
            raise SystemExit("the server closed the connection")
        data += part
    return data[4:]


def _flip(at: int) -> Callable[[bytes], bytes]:
    """Return what changes one byte of a proof, 0 being the first and -1 the last."""

    def spoil(auth: bytes) -> bytes:
        message = json.loads(auth)
        mac = bytearray.fromhex(message["mac"])
        mac[at] ^= 1
        return json.dumps({**message, "mac": mac.hex()}).encode()

    return spoil


def _same(auth: bytes) -> bytes:
    return json.dumps(json.loads(auth)).encode()


def attempts(port: int, token: str, *, shared: bool) -> dict[str, Attempt]:
    """Return the kinds. With a shared token every name may come in; a name that was never seen is then not unknown."""
    wrong, stranger = secrets.token_hex(32), "never-seen" if shared else "unknown"
    return {
        "known name, wrong token": Attempt(port, lambda: KNOWN, wrong, _same),
        "known name, first byte of the proof wrong": Attempt(port, lambda: KNOWN, token, _flip(0)),
        "known name, last byte of the proof wrong": Attempt(port, lambda: KNOWN, token, _flip(-1)),
        f"one {stranger} name": Attempt(port, lambda: "some-client0", wrong, _same),
        f"a new {stranger} name each time": Attempt(port, lambda: secrets.token_hex(6), wrong, _same),
    }


def measure(logins: int, *, shared: bool, seed: int) -> dict[str, list[float]]:
    """Start a server that knows one client by its own token, or all by one, and let all kinds try, mixed."""
    token = secrets.token_hex(32)
    with tempfile.TemporaryDirectory() as name, Processes(Path(name)) as processes, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        who = {"token": token} if shared else {"clients": [{"name": KNOWN, "token": token}]}
        section = {"addr": f"127.0.0.1:{port}", "tls": {"mode": "off"}, "log_level": "error", **who}
        config = Path(name) / "server.yaml"
        config.write_text(json.dumps({"server": section}))
        command = [*entry("server"), "--config", config, "--state", name]
        processes.spawn(command, env=python_environment())
        until = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except ConnectionRefusedError:
                if time.monotonic() > until:
                    raise SystemExit("the server did not start") from None
                time.sleep(0.05)
        kinds = attempts(port, token, shared=shared)
        order = [kind for kind in kinds for _ in range(logins // len(kinds))]
        random.Random(seed).shuffle(order)
        for kind in list(kinds) * 50:  # warm
            kinds[kind].seconds()
        times: dict[str, list[float]] = {kind: [] for kind in kinds}
        for kind in order:
            times[kind].append(kinds[kind].seconds())
        return times


def main(arguments: Sequence[str]) -> int:
    """Measure both kinds of server and print a table each."""
    parser = argparse.ArgumentParser(prog="python -m bench.timing_auth", description=__doc__)
    parser.add_argument("--logins", type=int, default=LOGINS, help=f"for each server (default: {LOGINS})")
    parser.add_argument("--seed", type=int, default=1, help="of the order (default: 1)")
    options = parser.parse_args(arguments)
    for shared in (False, True):
        print("one shared token" if shared else "a token for each client")
        print("\n".join(compare(measure(options.logins, shared=shared, seed=options.seed))) + "\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

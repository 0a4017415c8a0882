"""A kube-apiserver and a kubelet, as far as a tunnel can tell: TLS with certificates that are checked, watches without
an end, chunked logs, upgraded exec streams, and calls from the API server to kubelets through its egress socket.

    python -m tests.e2e.kube kubelet NAME PORT CERT KEY
    python -m tests.e2e.kube apiserver PORT EGRESS-SOCKET FOLDER-OF-CAS
    python -m tests.e2e.kube exec NODE                  standard input and output become those of the exec
    python -m tests.e2e.kube renew SECONDS COMMAND...   runs the command again and again for so long

The API server's part speaks plain HTTP/1.1 on loopback: nginx gives it TLS and HTTP/2. What it asks of a kubelet it
passes on: `GET /nodes/NAME/containerLogs` and `POST /nodes/NAME/exec`, whose answer is upgraded.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter

API_PORT = 8001
LINE_EVERY = 0.05
"""Seconds between two lines of a log, or two events of a watch."""


async def head(reader: Reader) -> tuple[str, str, dict[str, str]]:
    """Read a request (or an answer): its first two words and its fields."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    first, second, _ = lines[0].split(" ", 2)
    fields = dict(line.split(": ", 1) for line in lines[1:] if line)
    return first, second, {name.lower(): value for name, value in fields.items()}


async def chunks(writer: Writer, word: str) -> None:
    """Answer with numbered lines until the other side has gone."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/plain\r\n\r\n")
    number = 0
    while True:
        line = f"{word} {number}\n".encode()
        writer.write(b"%x\r\n%s\r\n" % (len(line), line))
        await writer.drain()
        number += 1
        await asyncio.sleep(LINE_EVERY)


async def pipe(reader: Reader, writer: Writer) -> None:
    """Pass bytes on, and then the end."""
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


def answer(writer: Writer, body: str, status: str = "200 OK") -> None:
    """Answer with a text."""
    writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode())


class Kubelet:
    """Logs and exec."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def serve(self, reader: Reader, writer: Writer) -> None:
        """One connection, one request."""
        method, path, fields = await head(reader)
        if path.startswith("/containerLogs"):
            await chunks(writer, f"line of {self.name}")
        elif path.startswith("/exec") and method == "POST" and fields.get("upgrade", "").startswith("SPDY"):
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n")
            writer.write(f"{self.name}:".encode())
            await pipe(reader, writer)
        else:
            answer(writer, f"ok from {self.name}")
            await writer.drain()
            writer.close()


class Apiserver:
    """Watches, leases, and what it asks kubelets for."""

    def __init__(self, egress: str, folder: Path) -> None:
        self.egress = egress
        self.folder = folder
        self.leases: dict[str, float] = {}
        self.gaps: dict[str, float] = {}

    async def serve(self, reader: Reader, writer: Writer) -> None:
        """One connection, one request."""
        method, path, fields = await head(reader)
        kind, _, rest = path.lstrip("/").partition("/")
        if kind == "watch":
            await chunks(writer, "event")
        elif kind == "leases" and method == "PUT":
            self._renew(rest)
            answer(writer, "renewed")
        elif kind == "leases":
            age = time.monotonic() - self.leases.get(rest, 0.0)
            answer(writer, f"{age:.3f} {self.gaps.get(rest, 0.0):.3f}")
        elif kind == "nodes":
            await self._ask(method, rest, fields, reader, writer)
            return
        else:
            answer(writer, "ok")
        await writer.drain()
        writer.close()

    def _renew(self, name: str) -> None:
        now = time.monotonic()
        self.gaps[name] = max(self.gaps.get(name, 0.0), now - self.leases.get(name, now))
        self.leases[name] = now

    async def _ask(self, method: str, rest: str, fields: dict[str, str], reader: Reader, writer: Writer) -> None:
        node, _, path = rest.partition("/")
        try:
            there, back = await self._kubelet(node)
        except (OSError, ValueError) as error:
            answer(writer, str(error), "502 Bad Gateway")
            await writer.drain()
            writer.close()
            return
        upgrade = f"Connection: Upgrade\r\nUpgrade: {fields['upgrade']}\r\n" if "upgrade" in fields else ""
        back.write(f"{method} /{path} HTTP/1.1\r\nHost: {node}\r\n{upgrade}\r\n".encode())
        await asyncio.gather(pipe(there, writer), pipe(reader, back), return_exceptions=True)

    async def _kubelet(self, node: str) -> tuple[Reader, Writer]:
        """Connect as kube-apiserver does: CONNECT on the egress socket, then TLS, the certificate checked."""
        reader, writer = await asyncio.open_unix_connection(self.egress)
        writer.write(f"CONNECT {node}:10250 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        _, status, fields = await head(reader)
        if status != "200":
            reason = await reader.read(int(fields["content-length"]))
            writer.close()
            raise ValueError(f"{status} {reason.decode().strip()}")
        context = ssl.create_default_context(cafile=str(self.folder / f"{node}.pem"))
        await writer.start_tls(context, server_hostname=node)
        return reader, writer


def execute(node: str) -> None:
    """Send standard input into an exec, and print what comes back."""
    request = f"POST /nodes/{node}/exec HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n"
    with socket.create_connection(("127.0.0.1", API_PORT), 30) as connection:
        connection.sendall(request.encode())
        got = b""
        while not got.endswith(b"\r\n\r\n"):
            got += connection.recv(1)
        sent = sys.stdin.buffer.read()
        sending = threading.Thread(target=connection.sendall, args=(sent,))
        sending.start()
        missing = len(f"{node}:") + len(sent)  # TLS knows no half-close: who has heard all hangs up
        while missing and (data := connection.recv(65536)):
            sys.stdout.buffer.write(data)
            missing -= len(data)
        sending.join()


def renew(seconds: float, command: list[str]) -> None:
    """Run a command every third of a second, whatever becomes of it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        subprocess.run(command, capture_output=True, check=False)
        time.sleep(0.3)


async def main(role: str, *words: str) -> None:
    """Serve for ever."""

    async def guarded(reader: Reader, writer: Writer) -> None:
        try:
            await serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            writer.transport.abort()

    if role == "kubelet":
        name, port, certificate, key = words
        serve = Kubelet(name).serve
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server = await asyncio.start_server(guarded, "0.0.0.0", int(port), ssl=context)
    else:
        port, egress, folder = words
        serve = Apiserver(egress, Path(folder)).serve
        server = await asyncio.start_server(guarded, "127.0.0.1", int(port))
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1] == "exec":
        execute(sys.argv[2])
    elif sys.argv[1] == "renew":
        renew(float(sys.argv[2]), sys.argv[3:])
    else:
        asyncio.run(main(*sys.argv[1:]))

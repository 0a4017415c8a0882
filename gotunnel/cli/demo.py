"""`make demo`: a server, a client and a web service as real processes on loopback, and one page through the tunnel.
Uses gotunnel's commands and its configuration files, as an operator would, and nothing else of it but the words."""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from gotunnel.cli.saying import say
from gotunnel.errors import Sentence

__all__ = ["main"]

START_SECONDS = 30.0
"""Seconds until the first page must have come."""

END_SECONDS = 10.0
"""Seconds that a process has to end by itself before it is killed."""

LAST_LINES = 50
"""Lines of each log that are shown when the demo fails."""

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)

SERVER_FILE = """\
server:
  addr: "127.0.0.1:{control}"
  token_file: token
  drain_timeout: 1
"""

CLIENT_FILE = """\
client:
  name: demo
  token_file: token
  server_addr: "127.0.0.1:{control}"
  mappings:
    - {{name: web, local: "127.0.0.1:{web}", remote: {public}}}
"""

PAGE = """<!doctype html>
<title>gotunnel</title>
<h1>It works.</h1>
<p>This page came through the tunnel. <code>{mark}</code></p>
"""


class _DemoFailed(Exception):
    """The page did not come; the text says why in one line."""


class _Stopped(Exception):
    """The demo was asked to end."""


def main(arguments: list[str] | None = None) -> int:
    """Run the demo until Ctrl-C, or with `--once` until the page has come. Return the exit code."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="fetch one page through the tunnel and end")
    once: bool = parser.parse_args(arguments).once
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # started with nohup
            signal.signal(number, _stop)
    try:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gotunnel-demo-")))
            try:
                _stay(_start(folder, stack), once)
            except _DemoFailed as failure:
                _show_logs(folder)
                say(Sentence("the demo failed: {reason}", reason=failure), err=True)
                return 1
    except _Stopped:
        pass
    return 0


def _start(folder: Path, stack: ExitStack) -> dict[str, subprocess.Popen[bytes]]:
    control, web, public = _free_ports(3)
    mark = secrets.token_hex(8)
    (folder / "pages").mkdir()
    (folder / "pages" / "index.html").write_text(PAGE.format(mark=mark))
    (folder / "token").write_text(secrets.token_hex(32))
    (folder / "token").chmod(0o600)
    (folder / "server.yaml").write_text(SERVER_FILE.format(control=control))
    (folder / "client.yaml").write_text(CLIENT_FILE.format(control=control, web=web, public=public))
    commands = {
        "web service": ["-m", "http.server", str(web), "--bind", "127.0.0.1", "--directory", "pages"],
        "server": ["-c", _role("server"), "--config", "server.yaml", "--state", "server-state"],
        "client": ["-c", _role("client"), "--config", "client.yaml", "--state", "client-state"],
    }
    # Two tokens, in the environment and in the files, would be refused.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GOTUNNEL_")}
    processes: dict[str, subprocess.Popen[bytes]] = {}
    for name, command in commands.items():
        log = stack.enter_context((folder / f"{name}.log").open("wb"))
        processes[name] = process = subprocess.Popen(  # noqa: S603 - our own command, with our own arguments
            [sys.executable, *command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # In a session of its own: Ctrl-C then reaches the demo only, which ends its processes in order.
            start_new_session=True,
        )
        stack.callback(_end, process)
    url = f"http://127.0.0.1:{public}/"
    _wait_for_page(url, mark, processes)
    say(Sentence("{url} is the web service of port {port}, seen through the tunnel.", url=url, port=web))
    return processes


def _role(name: str) -> str:
    return f"from gotunnel.cli.roles import {name}; {name}(prog_name='gotunnel-{name}')"


def _stay(processes: dict[str, subprocess.Popen[bytes]], once: bool) -> None:
    if not once:
        say(Sentence("Ctrl-C ends it."))
    while not once:
        _check_alive(processes)
        time.sleep(0.5)


def _wait_for_page(url: str, mark: str, processes: dict[str, subprocess.Popen[bytes]]) -> None:
    # Without a proxy: one named in the environment could not reach this loopback address.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + START_SECONDS
    last: object = Sentence("nothing answered")
    while time.monotonic() < deadline:
        _check_alive(processes)
        try:
            with opener.open(url, timeout=5) as answer:
                if mark in answer.read().decode():
                    return
            last = Sentence("another page came")
        except OSError as error:
            last = error
        time.sleep(0.1)
    raise _DemoFailed(Sentence("no page from {url} in {seconds:.0f} s: {reason}", url=url, seconds=START_SECONDS,
                               reason=last))  # fmt: skip


def _check_alive(processes: dict[str, subprocess.Popen[bytes]]) -> None:
    for name, process in processes.items():
        code = process.poll()
        if code is not None:
            raise _DemoFailed(Sentence("the {role} ended with exit code {code}", role=Sentence.word(name), code=code))


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _show_logs(folder: Path) -> None:
    for log in sorted(folder.glob("*.log")):
        print(f"--- {log.stem}", file=sys.stderr)
        for line in log.read_text(errors="backslashreplace").splitlines()[-LAST_LINES:]:
            print(line, file=sys.stderr)


def _free_ports(count: int) -> list[int]:
    # All are held at the same time so that they differ. Another program may still take one before it is used; the
    # demo then says so, and can be run again.
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [held.getsockname()[1] for held in sockets]
    for held in sockets:
        held.close()
    return ports


def _stop(number: int, frame: FrameType | None) -> None:
    for again in SIGNALS:
        signal.signal(again, signal.SIG_IGN)  # ending the processes must not be interrupted
    raise _Stopped


if __name__ == "__main__":
    sys.exit(main())

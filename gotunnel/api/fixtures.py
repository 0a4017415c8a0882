"""Fixtures for pytest: put `pytest_plugins = ["gotunnel.api.fixtures"]` into `conftest.py`. If the environment names a
server (GOTUNNEL_SERVER, with GOTUNNEL_TOKEN), ports are published there; otherwise on a server of the fixtures' own, on
loopback."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from gotunnel.api.loopback import LoopbackServer
from gotunnel.api.settings import SERVER_VARIABLE
from gotunnel.api.threads import Background, BackgroundPort

__all__ = ["gotunnel_expose", "gotunnel_tunnel"]


@pytest.fixture(scope="session")
def gotunnel_tunnel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Background]:
    """A tunnel for the whole run: a `gotunnel.api.Background`."""
    with ExitStack() as stack:
        options: dict[str, Any] = {}
        if not os.environ.get(SERVER_VARIABLE):
            folder: Path = tmp_path_factory.mktemp("gotunnel")
            server = stack.enter_context(LoopbackServer(folder))
            options = {"server": server.address, "token": server.token}
        yield stack.enter_context(Background(**options))


@pytest.fixture
def gotunnel_expose(gotunnel_tunnel: Background) -> Iterator[Callable[..., BackgroundPort]]:
    """Publishes until the test ends: `gotunnel_expose(8000)` returns a port whose text is `host:port`, with the
    attributes `host` and `port`. It takes the arguments of `Tunnel.expose`."""
    ports: list[BackgroundPort] = []

    def opened(what: int | str, remote: int | str | None = None, **options: Any) -> BackgroundPort:
        ports.append(gotunnel_tunnel.expose(what, 0 if remote is None else remote, **options))
        return ports[-1]

    yield opened
    for port in ports:
        port.close()

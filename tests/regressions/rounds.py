"""The file of a client that runs as a process of its own, on the loopback network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gotunnel.server.service import ServerService
from tests.integration.base import TOKEN, IntegrationTestCase

__all__ = ["client_file"]


def client_file(
    case: IntegrationTestCase, server: ServerService, target: int, *, name: str = "edge", **keys: Any
) -> Path:
    """Write the configuration of a client with one mapping, web, to a port of 127.0.0.1."""
    section = {
        "name": name,
        "token": TOKEN,
        "server_addr": str(server.address),
        "mappings": [{"name": "web", "local": f"127.0.0.1:{target}", "remote": "127.0.0.1:0"}],
        **keys,
    }
    path = case.folder / f"{name}.yaml"
    path.write_text(json.dumps({"client": section}))
    path.chmod(0o600)
    return path

"""The clients file: it is read, or refused with lines for an operator, without a key in them. What is read makes a
table of identities, is explained, and is the same when it is written and read again."""

from __future__ import annotations

import tempfile
from pathlib import Path

from gotunnel.config.explain_clients import explain_clients
from gotunnel.config.identityfile import load_clients, written
from gotunnel.config.model import ServerConfig
from gotunnel.errors import ConfigError
from gotunnel.server.credentials import Credentials
from tests.doubles import keys_of

__all__ = ["attempt"]

KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
NOW = 1_800_000_000
_FOLDER = tempfile.TemporaryDirectory(prefix="gotunnel-fuzz-")
_CLIENT = {"name": "a", "token": "c94e01b7d6f85a2338e07b1f6ad95c42"}
_SERVER = ServerConfig.model_validate({"token": "7f3a9c51e8d24b60af17c3925be8d046", "clients": [_CLIENT]})
_CREDENTIALS = Credentials(_SERVER, frozenset({17000}))


def attempt(data: bytes) -> None:
    path = Path(_FOLDER.name) / "clients.json"
    path.write_bytes(data)
    path.chmod(0o600)
    try:
        clients = load_clients(path)
        table = _CREDENTIALS.table(clients, path)
    except ConfigError as refused:
        lines = [str(problem) for problem in refused.problems]
        assert lines, "refused without a reason"
    else:
        lines = ["  ".join(cells) for cells in explain_clients(_SERVER, clients)]
        assert len(lines) == 1 + len(clients), "a client that is not explained"
        for client in clients:
            identity = table.identity(client.name)
            assert identity is not None, "a client without an identity"
            rights = table.rights_for(client.name, NOW)
            assert rights is None or not client.disabled, "a disabled client with rights"
            assert rights is None or 17000 in rights.reserved, "the server's own port"
            assert len(keys_of(table, client.name, NOW)) == len(keys_of(table, "nobody", NOW)), "names that differ"
        path.write_bytes(written(clients))
        assert load_clients(path) == clients, "not the same again"
    for line in lines:
        assert line.isprintable(), "not a line"
        assert KEY not in line, "a key"

"""`gotunnel check`: explains what a configuration would do, or reports everything that is wrong with it and with the
files that it names. Opens no connection."""

from __future__ import annotations

import os

from gotunnel.cli.beginning import check_client_start, check_server_start
from gotunnel.cli.saying import say
from gotunnel.config.explain import explain
from gotunnel.config.histories import check_histories
from gotunnel.config.identityfile import CLIENTS_FILE
from gotunnel.config.load import load
from gotunnel.server.credentials import filed_clients
from gotunnel.tap.exits import one_line_errors
from gotunnel.tap.role import state_path

__all__ = ["check_file"]


def check_file(path: str, state: str | None) -> None:
    """Explain, in the language of the environment, what the file at `path` would do. This includes the clients of its
    clients file, which is in the folder `state` if the file names none. Report problems on standard error and raise
    SystemExit: 2 for mistakes in the file, 1 for anything else that a start would refuse."""
    folder = state_path(state)
    with one_line_errors("gotunnel check"):
        file = load(path, clients_elsewhere=os.path.exists(folder / CLIENTS_FILE))
        filed = () if file.server is None else filed_clients(file.server, folder)
        for section in (file.server, file.client):
            if section is not None:
                check_histories(section, folder, path)
        if file.server is not None:
            check_server_start(file.server, folder)
        if file.client is not None:
            check_client_start(file.client, folder)
    for line in explain(file, filed):
        say(line)

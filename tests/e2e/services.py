"""Real services behind a tunnel, each in a folder of its own: OpenSSH's server and a PostgreSQL cluster. No tunnel."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from tests.e2e.harness import Program, TunnelTestCase, need
from tests.processes import DEADLINE

__all__ = ["Postgres", "Sshd", "silence"]

LONG = 120
"""Seconds for a long transfer on a busy machine."""


def silence(case: TunnelTestCase, seconds: float) -> None:
    """Let time pass in which nothing is said: not to wait for anything, but because it is what a test is about."""
    since = time.monotonic()
    case.wait_until(lambda: time.monotonic() - since > seconds, f"{seconds} seconds", seconds=seconds + DEADLINE)


class Sshd:
    """An sshd with a host key of its own that lets the current user in, with a key of the test's, and nobody else."""

    def __init__(self, case: TunnelTestCase) -> None:
        self._case = case
        self._folder = case.folder / "ssh"
        self._folder.mkdir()
        program = need("sshd", "openssh-server")
        for name in ("host", "user"):
            words = ["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(self._folder / name)]
            subprocess.run([need("ssh-keygen", "openssh-client"), *words], check=True, timeout=DEADLINE)
        host_key = (self._folder / "host.pub").read_text()
        (self._folder / "known").write_text(f"target {host_key}")
        if os.geteuid() == 0:
            # What Debian's unit does before each start; without it sshd refuses to run as root.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self.port = case.port()
        self.address = f"{case.host}:{self.port}"
        config = f"""\
ListenAddress {self.address}
HostKey "{self._folder}/host"
AuthorizedKeysFile "{self._folder}/user.pub"
AuthenticationMethods publickey
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PidFile none
LogLevel VERBOSE
Subsystem sftp internal-sftp
"""
        path = case.write("ssh/config", config)
        self.program = case.launch("sshd", [program, "-D", "-e", "-f", path])
        self.program.wait_for("Server listening on")

    def command(self, program: str, port: int, *words: str) -> list[str]:
        """Return `ssh` or `scp` to a port of the test's address, as who accepts this sshd's host key and no other."""
        options = {
            "Port": port,
            "User": pwd.getpwuid(os.geteuid()).pw_name,
            "IdentityFile": self._folder / "user",
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "UserKnownHostsFile": self._folder / "known",
            "GlobalKnownHostsFile": "none",
            "HostKeyAlias": "target",
            "StrictHostKeyChecking": "yes",
            "BatchMode": "yes",
        }
        given = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        return [need(program, "openssh-client"), "-F", "none", *given, *words]

    def run(self, command: Sequence[str], sent: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        """Run a command of ours to its end."""
        return subprocess.run(
            command,
            input=sent,
            stdin=subprocess.DEVNULL if sent is None else None,
            capture_output=True,
            timeout=LONG,
            env=self._case.environment(),
            check=False,
        )


class Postgres:
    """A new cluster with one user, `tester`. PostgreSQL refuses to run as root: root starts it as `postgres`."""

    password = "only for this test"

    def __init__(self, case: TunnelTestCase) -> None:
        self._case = case
        self._bin = _programs()
        # Not below the test's folder: the user postgres may not be allowed to enter that.
        self._folder = Path(tempfile.mkdtemp(prefix="gotunnel-pg-"))
        case.addCleanup(shutil.rmtree, self._folder)
        self.port = case.port()
        self.address = f"{case.host}:{self.port}"
        secret = self._folder / "password"
        secret.write_text(self.password)
        self._prefix: list[str] = []
        if os.geteuid() == 0:
            self._prefix = [
                need("setpriv", "util-linux"),
                "--reuid=postgres",
                "--regid=postgres",
                "--init-groups",
            ]
            for path in (self._folder, secret):
                shutil.chown(path, "postgres", "postgres")
        self._program = self._start(secret)

    def _start(self, secret: Path) -> Program:
        data = str(self._folder / "data")
        where = ["--pgdata", data, "--username", "tester", "--pwfile", str(secret), "--auth", "scram-sha-256"]
        how = ["--locale", "C", "--encoding", "UTF8", "--no-sync", "--no-instructions"]
        made = subprocess.run(
            [*self._prefix, str(self._bin / "initdb"), *where, *how],
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=LONG,
            check=False,
        )
        if made.returncode:
            self._case.fail(f"initdb: {made.stdout}{made.stderr}")
        settings = {
            "listen_addresses": self._case.host,
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "off",
            "max_wal_size": "1GB",
            "autovacuum": "off",
        }
        given = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        command = [*self._prefix, str(self._bin / "postgres"), "-D", data, *given]
        program = self._case.launch("postgres", command, cwd=self._folder)
        self._case.addCleanup(self._stop, program)
        program.wait_for("database system is ready to accept connections")
        return program

    def _stop(self, program: Program) -> None:
        """A fast shutdown: the postmaster ends after all of its own."""
        if program.process.poll() is None:
            program.signal(signal.SIGINT)
        program.wait()

    def options(self, port: int) -> dict[str, str]:
        """Return how libpq reaches this cluster over a port of the test's address."""
        return {
            "host": self._case.host,
            "port": str(port),
            "user": "tester",
            "password": self.password,
            "dbname": "postgres",
            "connect_timeout": str(int(DEADLINE)),
        }

    def psql(
        self, port: int, sql: str, stdin: IO[Any] | int = subprocess.DEVNULL, stdout: IO[Any] | int = -1
    ) -> str:
        """Run a statement; fail the test where it fails. Return what it printed: bare columns, `|` between them."""
        service = " ".join(f"{key}='{value}'" for key, value in self.options(port).items())
        done = subprocess.run(
            [self._bin / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", service, "-c", sql],
            env={key: value for key, value in os.environ.items() if not key.startswith("PG")},
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            timeout=LONG,
            check=False,
        )
        if done.returncode:
            self._case.fail(f"psql ended with {done.returncode}: {done.stderr}")
        return (done.stdout or "").strip()


def _programs() -> Path:
    """Return the folder of the newest PostgreSQL's programs; skip the test where there is none."""
    # Debian puts each version's into a folder that is in nobody's PATH.
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if found:
        return max(found, key=lambda path: int(path.parent.name))
    return Path(need("initdb", "postgresql")).parent

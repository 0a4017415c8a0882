"""The peers of end-to-end tests: services in threads, nginx and HAProxy as processes, certificates. No tunnel."""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.e2e.harness import Program, TunnelTestCase, need
from tests.processes import DEADLINE

Key = ec.EllipticCurvePrivateKey

__all__ = ["Service", "authority", "echo", "haproxy", "nginx"]


class Service:
    """A TCP service of the test itself: each connection runs `serve` in a thread of its own. `endings` holds what
    ended those that raised OSError: what a target saw."""

    def __init__(
        self, case: TunnelTestCase, serve: Callable[[socket.socket], None], host: str = "127.0.0.1"
    ) -> None:
        self._serve = serve
        self._listening = socket.create_server((host, 0), backlog=1024)
        self.port: int = self._listening.getsockname()[1]
        self.address = f"{host}:{self.port}"
        self.endings: list[OSError | None] = []
        self.connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()
        case.addCleanup(self.close)

    def close(self) -> None:
        """Close everything and wait for the threads."""
        _shut(self._listening)
        self._threads[0].join(DEADLINE)
        for connection in self.connections:
            _shut(connection)
        for thread in self._threads[1:]:
            thread.join(DEADLINE)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            connection.settimeout(DEADLINE)
            self.connections.append(connection)
            thread = threading.Thread(target=self._run, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, connection: socket.socket) -> None:
        try:
            self._serve(connection)
        except OSError as error:
            self.endings.append(error)
        else:
            self.endings.append(None)
        finally:
            connection.close()


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)  # wakes a thread that is blocked in accept() or recv()
    except OSError:
        pass
    sock.close()


def echo(connection: socket.socket) -> None:
    """Send back what comes, to the end of the stream."""
    while data := connection.recv(1 << 16):
        connection.sendall(data)


def nginx(
    case: TunnelTestCase, servers: str, *, name: str = "nginx", prefix: tuple[str, ...] = ()
) -> Program:
    """Start nginx with `server` blocks of ours. Its folder is `folder/NAME`; answers are waited for by the caller."""
    program = need("nginx")
    root = case.folder / name
    (root / "www").mkdir(parents=True)
    temporary = "".join(
        f"  {kind}_temp_path {root}/tmp-{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = f"""\
daemon off;
master_process off;
pid {root}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 2048; }}
http {{
{temporary}
  access_log off;
  default_type application/octet-stream;
  client_max_body_size 0;
  keepalive_requests 10000;
  root {root}/www;
{servers}
}}
"""
    path = case.write(f"{name}.conf", config)
    return case.launch(name, [*prefix, program, "-p", root, "-e", "stderr", "-c", path])


def haproxy(case: TunnelTestCase, listen: str, target: str, *, prefix: tuple[str, ...] = ()) -> Program:
    """Start HAProxy in TCP mode: what comes to `listen` goes to `target`, nothing else."""
    config = f"""\
defaults
  mode tcp
  timeout connect 5s
  timeout client 1m
  timeout server 1m
listen gotunnel
  bind {listen}
  server gotunnel {target}
"""
    path = case.write("haproxy.cfg", config)
    return case.launch("haproxy", [*prefix, need("haproxy"), "-db", "-f", path])


def authority(folder: Path, *addresses: str, name: str = "kubernetes") -> tuple[Path, Path, Path]:
    """Make a CA and a certificate of it for `name` and `addresses`; return the files of CA, certificate and key."""
    now = datetime.datetime.now(datetime.timezone.utc)

    def issue(subject: str, key: Key, issuer: str, signer: Key, ca: bool) -> bytes:
        names: list[x509.GeneralName] = [x509.DNSName(subject)]
        names += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    folder.mkdir(parents=True, exist_ok=True)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    files = folder / "ca.pem", folder / "cert.pem", folder / "key.pem"
    files[0].write_bytes(issue(f"CA of {name}", ca_key, f"CA of {name}", ca_key, True))
    files[1].write_bytes(issue(name, key, f"CA of {name}", ca_key, False))
    files[2].touch(mode=0o600)
    files[2].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    os.chmod(files[2], 0o600)
    return files

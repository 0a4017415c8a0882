"""The other tunnels as subjects. Each is measured where its program is on the PATH; none is fetched."""

from __future__ import annotations

import getpass
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bench.process import ROOT, python_environment
from bench.subject import Place, Role, Subject, find

__all__ = ["PEERS"]

HOST = "127.0.0.1"


def _needs(*programs: str) -> Callable[[], str | None]:
    def missing() -> str | None:
        absent = [program for program in programs if find(program) is None]
        return f"{' and '.join(absent)} not on the PATH" if absent else None

    return missing


def _version(program: str, *options: str) -> Callable[[], str]:
    def version() -> str:
        done = subprocess.run(
            [find(program) or program, *options], capture_output=True, text=True, timeout=10, check=False
        )
        # Not a time: rathole names those of its build, too.
        found = re.search(r"(?<![\d:])\d+\.\d+[\w.]*", done.stdout + done.stderr)
        return found.group() if found else ""

    return version


def _path(program: str) -> str:
    return find(program) or program


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def _pair(module: str, *more: str) -> Callable[[Place], list[Role]]:
    """Return the roles of a pair of our own, to be compared with; both get the words `more`."""

    def roles(place: Place) -> list[Role]:
        start, env = [sys.executable, "-m", module], python_environment()
        server = [*start, "server", str(place.control), str(place.public), *more]
        client = [*start, "client", str(place.control), str(place.target), *more]
        return [
            Role("server", server, place.control, env=env, cwd=ROOT),
            Role("client", client, place.public, says="connected", env=env, cwd=ROOT),
        ]

    return roles


def _naive_version() -> str:
    from twisted import __version__ as version

    return f"on Twisted {version}"


_SSHD = """\
ListenAddress {host}
Port {control}
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
UsePAM no
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
LogLevel ERROR
"""


def _no_sshd() -> str | None:
    absent = _needs("sshd", "ssh", "ssh-keygen")()
    if absent is None and os.getuid() == 0 and not os.path.isdir("/run/sshd"):
        return "/run/sshd, which sshd insists on when root starts it, is missing: mkdir /run/sshd"
    return absent


def _openssh(place: Place) -> list[Role]:
    for key in ("host", "user"):
        command = [_path("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(place.folder / key)]
        subprocess.run(command, check=True, timeout=10)
    config = _SSHD.format(host=HOST, control=place.control, folder=place.folder)
    options = ["BatchMode=yes", "ExitOnForwardFailure=yes", "StrictHostKeyChecking=no", "LogLevel=ERROR"]
    options += [f"UserKnownHostsFile={place.folder / 'known'}", "IdentitiesOnly=yes", "ServerAliveInterval=0"]
    words = [word for option in options for word in ("-o", option)]
    forward = f"{HOST}:{place.public}:{HOST}:{place.target}"
    client = [_path("ssh"), "-F", "none", "-N", "-i", str(place.folder / "user"), "-p", str(place.control)]
    return [
        Role("server", [_path("sshd"), "-D", "-f", _write(place.folder / "sshd", config)], place.control),
        Role("client", [*client, *words, "-R", forward, f"{getpass.getuser()}@{HOST}"], place.public),
    ]


_HAPROXY = """\
global
    maxconn 6000
    maxpipes 64
    nbthread 1
defaults
    mode tcp
    timeout connect 10s
    timeout client 1h
    timeout server 1h
    option splice-auto
listen hop
    bind {host}:{public}
    server target {host}:{target}
"""


def _haproxy(place: Place) -> list[Role]:
    config = _HAPROXY.format(host=HOST, public=place.public, target=place.target)
    return [
        Role("server", [_path("haproxy"), "-db", "-f", _write(place.folder / "hop.cfg", config)], place.public)
    ]


def _rathole(place: Place) -> list[Role]:
    server = f'[server]\nbind_addr = "{HOST}:{place.control}"\ndefault_token = "bench"\n'
    server += f'[server.services.bench]\nbind_addr = "{HOST}:{place.public}"\n'
    client = f'[client]\nremote_addr = "{HOST}:{place.control}"\ndefault_token = "bench"\n'
    client += f'[client.services.bench]\nlocal_addr = "{HOST}:{place.target}"\n'
    program = _path("rathole")
    return [
        Role("server", [program, "--server", _write(place.folder / "server.toml", server)], place.control),
        Role("client", [program, "--client", _write(place.folder / "client.toml", client)], place.public),
    ]


def _frp(place: Place) -> list[Role]:
    server = f'bindAddr = "{HOST}"\nbindPort = {place.control}\nproxyBindAddr = "{HOST}"\nauth.token = "bench"\n'
    client = f'serverAddr = "{HOST}"\nserverPort = {place.control}\nauth.token = "bench"\n'
    client += f'[[proxies]]\nname = "bench"\ntype = "tcp"\nlocalIP = "{HOST}"\n'
    client += f"localPort = {place.target}\nremotePort = {place.public}\n"
    return [
        Role("server", [_path("frps"), "-c", _write(place.folder / "s.toml", server)], place.control),
        Role("client", [_path("frpc"), "-c", _write(place.folder / "c.toml", client)], place.public),
    ]


def _chisel(place: Place) -> list[Role]:
    program, forward = _path("chisel"), f"R:{HOST}:{place.public}:{HOST}:{place.target}"
    server = [program, "server", "--host", HOST, "--port", str(place.control), "--reverse"]
    return [
        Role("server", server, place.control),
        Role("client", [program, "client", f"{HOST}:{place.control}", forward], place.public),
    ]


def _go(place: Place) -> list[Role]:
    # Both read config.yaml in the working directory and nothing else.
    texts = {
        "server": f'server:\n  addr: "{HOST}:{place.control}"\n  token: "bench"\n',
        "client": f'client:\n  name: "bench"\n  token: "bench"\n  server_addr: "{HOST}:{place.control}"\n'
        f"  local_ports: [{place.target}]\n  remote_port: {place.public}\n",
    }
    found = []
    for role, port in (("server", place.control), ("client", place.public)):
        folder = place.folder / role
        folder.mkdir()
        _write(folder / "config.yaml", texts[role])
        found.append(Role(role, [_path(f"gotunnel-go-{role}")], port, cwd=folder))
    return found


PEERS = [
    Subject("naive", "naive pair, plain", _pair("bench.naive"), version=_naive_version),
    Subject("bare", "bare relay, plain", _pair("bench.bare")),
    Subject("spliced", "two hops of splice", _pair("bench.spliced"), on_request=True),
    Subject("spliced-reno", "two hops of splice, reno", _pair("bench.spliced", "reno"), on_request=True),
    Subject("openssh", "OpenSSH -R", _openssh, _no_sshd, _version("ssh", "-V")),
    Subject("haproxy", "HAProxy, one hop", _haproxy, _needs("haproxy"), _version("haproxy", "-v")),
    Subject("rathole", "rathole, plain", _rathole, _needs("rathole"), _version("rathole", "--version")),
    Subject("frp", "frp, default", _frp, _needs("frps", "frpc"), _version("frps", "--version")),
    Subject("chisel", "chisel", _chisel, _needs("chisel"), _version("chisel", "--version")),
    Subject("go-gotunnel", "Go gotunnel, plain", _go, _needs("gotunnel-go-server", "gotunnel-go-client")),
]
"""All of them; the naive pair comes first, it is the 1.00 of the ratios."""

"""The checks of a server's section, on the server's machine: its port, certificate, clients and limits."""

from __future__ import annotations

from typing import Any

from gotunnel.address import HostPort
from gotunnel.cli.doctor.findings import Finding, note, ok, problem, warning
from gotunnel.cli.doctor.machine import server_descriptors
from gotunnel.cli.doctor.ports import bound, check_listeners, near, taken
from gotunnel.cli.doctor.serving import APISERVER, check_apiserver, shown_by
from gotunnel.cli.doctor.targets import check_egress
from gotunnel.cli.doctor.way import knock
from gotunnel.cli.doctor.wish import Wish
from gotunnel.client.checks import Unhealthy
from gotunnel.config.model import ServerConfig
from gotunnel.errors import ConfigError, DialFailed, GotunnelError, Sentence, lines_of, system_words
from gotunnel.net.certificates import KeyPair, TlsFilesError, dates, load_authorities, load_pair, spki_pin
from gotunnel.net.expiry import problem_with, utc_now
from gotunnel.net.owncert import OWN_FILE
from gotunnel.server.credentials import clients_path, filed_clients
from gotunnel.server.plugins import check_authenticators
from gotunnel.tap.role import state_path

__all__ = ["check_server"]

KEY = "server.addr"


async def check_server(reactor: Any, config: ServerConfig, state: str | None, wish: Wish) -> list[Finding]:
    """Return all findings about a server. `state` is `--state` of the command line."""
    found = server_descriptors(config.limits.streams)
    pair, told = _certificate(config, state)
    found += told
    found += _clients(config, state)
    runs, at_port = await _port(reactor, config, pair, wish.timeout)
    found.append(at_port)
    found += await check_listeners(reactor, config, runs, wish.timeout)
    if config.egress is not None:
        found += await check_egress(reactor, "server.egress", config.egress.listen, wish.timeout)
    if wish.kubernetes:
        found += await _beside(reactor, HostPort("127.0.0.1", APISERVER), wish)
    return found


async def _beside(reactor: Any, target: HostPort, wish: Wish) -> list[Finding]:
    """Check the kube-apiserver on the server's machine, if there is one."""
    try:
        await knock(reactor, target, wish.timeout)
    except DialFailed as failed:
        return [note("kube-apiserver", Sentence("there is none on this machine ({failed})", failed=failed))]
    return await check_apiserver(reactor, "kube-apiserver", target, wish.names, wish.timeout)


def _certificate(config: ServerConfig, state: str | None) -> tuple[KeyPair | None, list[Finding]]:
    tls, check = config.tls, "certificate"
    if tls.mode == "off":
        cure = "set tls.mode: required on both sides, unless the network between them is secret"
        return None, [warning(check, "none: server.tls.mode is off, and whoever is on the path reads everything", cure)]
    own = state_path(state) / OWN_FILE
    try:
        if tls.client_ca is not None:
            load_authorities(tls.client_ca)
        if tls.cert is None or tls.key is None:
            if not own.exists():
                none = Sentence("none yet: the server makes one at its first start ({file})", file=own)
                return None, [ok(check, none)]
            pair = load_pair(own, own)
            said = Sentence("self-made, pin {pin} ({file})", pin=spki_pin(pair.leaf), file=own)
            return pair, [ok(check, said)]
        pair = load_pair(tls.cert, tls.key)
    except (TlsFilesError, OSError) as broken:
        return None, [problem(check, _unread(broken), "correct server.tls, or the owner and mode of that file")]
    wrong = problem_with(pair.leaf, utc_now())
    if wrong is None:
        said = Sentence("valid until {until:%Y-%m-%d %H:%M} UTC, pin {pin} ({file})", until=dates(pair.leaf)[1],
                        pin=spki_pin(pair.leaf), file=tls.cert)  # fmt: skip
        return pair, [ok(check, said)]
    cure = "put a new one into that file, which a running server picks up; until then clients with tls.ca refuse it"
    return pair, [warning(check, Sentence("{problem} ({file})", problem=wrong, file=tls.cert), cure)]


def _clients(config: ServerConfig, state: str | None) -> list[Finding]:
    folder = state_path(state)
    path = clients_path(config, folder)
    try:
        filed = filed_clients(config, folder)
    except (ConfigError, OSError) as broken:
        return [problem("clients", _unread(broken), Sentence("repair {path}: the server does not accept it",
                        path=path))]
    try:
        check_authenticators(config)
    except GotunnelError as broken:
        cure = "repair that file, or correct server.authenticators: the server would not start with it"
        return [problem("clients", _unread(broken), cure)]
    if config.token is None and not config.clients and not filed and not config.authenticators:
        cure = "`gotunnel client add NAME --print-join` makes one"
        nobody = Sentence("nobody can connect: there is no token, and no client in {path}", path=path)
        return [problem("clients", nobody, cure)]
    said = Sentence("{here} in this file, {filed} in {path}", here=len(config.clients), filed=len(filed), path=path)
    if config.token is not None:
        said = Sentence("{said}, and whoever has the shared server.token", said=said)
    if config.authenticators:
        names = ", ".join(each.plugin for each in config.authenticators)
        said = Sentence("{said}; more are let in by {plugins}", said=said, plugins=names)
    return [ok("clients", said)]


def _unread(broken: Exception) -> str:
    """Return what is wrong with a file, in one line."""
    if isinstance(broken, OSError):
        return Sentence.joined(": ", (str(broken.filename or ""), system_words(broken)))
    return Sentence.joined("; ", lines_of(broken))


async def _port(
    reactor: Any, config: ServerConfig, pair: KeyPair | None, timeout: float
) -> tuple[bool | None, Finding]:
    """Return whether this server runs (None: unknown), and the finding about its port for clients."""
    check, addr = "port", config.addr
    here = near(addr)
    if addr.port == 0:
        return None, note(check, "not tried: port 0 is any free one, which the server's log tells")
    try:
        await knock(reactor, here, timeout)
    except DialFailed:
        return False, bound(check, addr, KEY)
    if config.tls.mode == "off":
        said = Sentence("something accepts connections on {near}: a server runs there, or another program", near=here)
        return None, ok(check, said)
    try:
        shown = (await shown_by(reactor, here, timeout))[0]
    except (Unhealthy, GotunnelError) as failed:
        return False, taken(check, addr, KEY, str(failed))
    if pair is None:
        said = Sentence("a server with another state folder has {address}", address=addr)
        return None, warning(check, said, "name its folder with --state")
    if spki_pin(shown) == spki_pin(pair.leaf):
        return True, ok(check, Sentence("a server with this very key answers on {address}", address=here))
    said = Sentence("{address} is served with another key, pin {pin}", address=addr, pin=spki_pin(shown))
    return None, warning(check, said, "name its state folder with --state, or stop it")

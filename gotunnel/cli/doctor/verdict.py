"""What a login means, in findings: TLS, the proof, the clocks, and the figures. Connects to nothing."""

from __future__ import annotations

import datetime
from statistics import median

from cryptography import x509

from gotunnel.address import HostPort
from gotunnel.cli.doctor.findings import Finding, note, ok, problem, warning
from gotunnel.cli.doctor.login import Login
from gotunnel.config.model import ClientConfig
from gotunnel.errors import AuthRejected, GotunnelError
from gotunnel.net.certificates import dates, spki_pin
from gotunnel.net.expiry import SOON, problem_with, utc_now
from gotunnel.net.trust import NotTrusted

__all__ = ["judge"]

LOGIN_CURES = {
    "auth_failed": "compare client.name and the token with the server's (`gotunnel client list` there); each try with "
    "a wrong one counts against this machine's address",
    "bad_server_mac": "give both sides the same token; if they have it, somebody sits in between",
    "tls_required": "set client.tls.mode: required, as the server has it",
    "version": "install the same release on both sides",
    "version_1": "move the server to version 2",
    "timeout": "is that a gotunnel server, and is tls.mode the same in both files?",
    "closed": "read the server's log: it is busy, or refuses this address for a while after failed logins; wait 10 "
    "minutes, or restart it",
    "stale": "run it again",
}
TLS_CURE = "compare client.tls with what `gotunnel pin` prints on the server, and tls.mode in both files"


def judge(config: ClientConfig, at: HostPort, login: Login, now: datetime.datetime | None = None) -> list[Finding]:
    """Return what a login at one address has shown."""
    refused = login.refused
    if isinstance(refused, NotTrusted) or getattr(refused, "code", "") == "tls":
        return [problem("tls", f"{at}: {refused}", TLS_CURE)]
    now = now or utc_now()
    found = _tls(config, at, login, now)
    found += [_authentication(config, at, login)]
    if login.certificate is not None:
        found += [_clock(login.certificate, now)]
    if login.round_trips:
        trips = [seconds * 1000 for seconds in login.round_trips]
        said = f"{median(trips):.1f} ms, the median of {len(trips)} pings (longest {max(trips):.1f} ms)"
        found += [ok("round trip", said)]
    found += _leg(login.leg)
    if login.established is not None:
        found += [note("throughput", "not measured: the protocol has no echo; send a file through a mapping")]
    return found


def _tls(config: ClientConfig, at: HostPort, login: Login, now: datetime.datetime) -> list[Finding]:
    if config.tls.mode == "off":
        cure = "set tls.mode: required on both sides, unless the network between them is secret"
        return [warning("tls", "off: whoever is on the path reads and changes everything", cure)]
    shown = login.certificate
    if shown is None:
        return []
    how = "client.tls.ca" if config.tls.ca is not None else ""
    how += (" and " if how else "") + "client.tls.pin" if config.tls.pin else ""
    how = f"accepted by {how}" if how else "which nothing checks but the token"
    until = f"{dates(shown)[1]:%Y-%m-%d %H:%M} UTC"
    said = f"TLS 1.3 with {at}: {shown.subject.rfc4514_string()}, pin {spki_pin(shown)}, valid until {until}, {how}"
    soon = dates(shown)[1] - now < SOON
    if config.tls.ca is not None and soon:
        return [warning("tls", said, f"renew the server's certificate before {until}: then client.tls.ca refuses it")]
    return [ok("tls", said)]


def _authentication(config: ClientConfig, at: HostPort, login: Login) -> Finding:
    refused = login.refused
    if refused is None:
        return ok("login", f"{at} and this client ({config.name}) have proved to each other that they hold the token")
    code = getattr(refused, "code", "")
    if code == "name_in_use":
        said = f"{at} takes the token and says that the client {config.name} is connected: all that follows a login is "
        return ok("login", said + "not measured while it runs")
    cure = LOGIN_CURES.get(code, "read the server's log of this moment")
    if isinstance(refused, AuthRejected) and "certificate" in refused.reason:
        cure = "set client.tls.cert and client.tls.key to a certificate that the server's client_ca issued"
    return problem("login", f"{at} does not let {config.name} in: {refused}", cure)


def _clock(shown: x509.Certificate, now: datetime.datetime) -> Finding:
    first, last = dates(shown)
    if first <= now <= last:
        said = f"{now:%Y-%m-%d %H:%M} UTC here, within the dates of the server's certificate ({first:%Y-%m-%d} to "
        return ok("clock", f"{said}{last:%Y-%m-%d}); the protocol carries no time, so a smaller skew is not seen")
    cure = "compare `date -u` on both machines; if they agree, renew the server's certificate"
    said = f"{now:%Y-%m-%d %H:%M} UTC here, and the server's certificate {problem_with(shown, now)}"
    return warning("clock", said, cure)


def _leg(leg: float | GotunnelError | None) -> list[Finding]:
    if leg is None:
        return []
    if isinstance(leg, GotunnelError):
        cure = "let every connection of this machine reach the server's port, not the first alone"
        return [problem("leg", f"a leg could not be brought: {leg}", f"{cure}; see server.limits.legs")]
    return [ok("leg", f"a second connection was proved as a leg in {leg * 1000:.1f} ms")]

"""What a login means, in findings: TLS, the proof, the clocks, and the figures. Connects to nothing."""

from __future__ import annotations

import datetime
from statistics import median

from cryptography import x509

from gotunnel.address import HostPort
from gotunnel.cli.doctor.findings import Finding, note, ok, problem, warning
from gotunnel.cli.doctor.login import Login
from gotunnel.cli.doctor.throughput import MOST, NotMeasured
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
LOST_CURE = (
    "if small messages pass and large ones do not, it is the MTU: try `ping -M do -s 1372` to the server, and set a "
    "smaller one on this machine's way to it; else the line is that slow, or blocked"
)
MOST_SKEW = 5.0
"""Seconds between two clocks that are more than the way of a message."""
TLS_CURE = "compare client.tls with what `gotunnel pin` prints on the server, and tls.mode in both files"


def judge(config: ClientConfig, at: HostPort, login: Login, now: datetime.datetime | None = None) -> list[Finding]:
    """Return what a login at one address has shown."""
    refused = login.refused
    if isinstance(refused, NotTrusted) or getattr(refused, "code", "") == "tls":
        return [problem("tls", f"{at}: {refused}", TLS_CURE)]
    now = now or utc_now()
    found = _tls(config, at, login, now)
    found += [_authentication(config, at, login)]
    if login.certificate is not None or login.skew is not None:
        found += [_clock(login.certificate, login.skew, now)]
    if login.round_trips:
        trips = [seconds * 1000 for seconds in login.round_trips]
        said = f"{median(trips):.1f} ms, the median of {len(trips)} pings (longest {max(trips):.1f} ms)"
        found += [ok("round trip", said)]
    found += _leg(login.leg)
    return found + _throughput(login)


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


def _clock(shown: x509.Certificate | None, skew: tuple[float, float] | None, now: datetime.datetime) -> Finding:
    here = f"{now:%Y-%m-%d %H:%M} UTC here"
    if skew is not None:
        ahead, off = skew
        way = "ahead of" if ahead > 0 else "behind"
        here = f"{here}, and the server's clock is {abs(ahead):.3f} s {way} this one (within {off:.3f} s)"
        if abs(ahead) - off > MOST_SKEW:
            cure = "set both clocks by NTP: `timedatectl set-ntp true`, and see `timedatectl` on both machines"
            return warning("clock", here, cure)
    if shown is None:
        return ok("clock", here)
    first, last = dates(shown)
    if first <= now <= last:
        said = f"{here}, within the dates of the server's certificate ({first:%Y-%m-%d} to {last:%Y-%m-%d})"
        unseen = "" if skew is not None else "; this server does not say its time, so a smaller skew is not seen"
        return ok("clock", said + unseen)
    cure = "compare `date -u` on both machines; if they agree, renew the server's certificate"
    return warning("clock", f"{here}, and the server's certificate {problem_with(shown, now)}", cure)


def _throughput(login: Login) -> list[Finding]:
    found = login.throughput
    if found is None:
        if login.established is None:
            return []
        if isinstance(login.leg, GotunnelError):
            return [note("throughput", "not measured: there is no leg")]
        why = "not wished" if login.can_measure else "the server is of a version that does not take part in it"
        return [note("throughput", f"not measured: {why}")]
    if isinstance(found, NotMeasured):
        return [note("throughput", f"not measured: {found}")]
    up, down = found
    lost = up if not up.whole else down
    if not up.whole or not down.carried:
        way = "up" if lost is up else "down"
        said = f"of {up.carried if lost is up else MOST} bytes {way} not all had arrived after {lost.seconds:.1f} s"
        return [warning("throughput", said, LOST_CURE)]
    said = ", ".join(
        f"{rate.mbits:.1f} Mbit/s {way} ({rate.carried / 2**20:.1f} MiB in {rate.seconds:.2f} s)"
        for way, rate in (("up", up), ("down", down))
    )
    return [ok("throughput", f"{said}, on one leg")]


def _leg(leg: float | GotunnelError | None) -> list[Finding]:
    if leg is None:
        return []
    if isinstance(leg, GotunnelError):
        cure = "let every connection of this machine reach the server's port, not the first alone"
        return [problem("leg", f"a leg could not be brought: {leg}", f"{cure}; see server.limits.legs")]
    return [ok("leg", f"a second connection was proved as a leg in {leg * 1000:.1f} ms")]

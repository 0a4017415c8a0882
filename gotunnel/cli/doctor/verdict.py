"""Turns the result of a login into findings: TLS, the proof, the clocks and the figures. Connects to nothing."""

from __future__ import annotations

import datetime
from statistics import median

from cryptography import x509

from gotunnel.address import HostPort
from gotunnel.cli.doctor.findings import Finding, note, ok, problem, warning
from gotunnel.cli.doctor.login import Login
from gotunnel.cli.doctor.throughput import MOST, NotMeasured, Rate
from gotunnel.config.model import ClientConfig
from gotunnel.errors import AuthRejected, GotunnelError, Sentence, printable
from gotunnel.net.certificates import dates, spki_pin
from gotunnel.net.dialer import Unreachable
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
AHEAD = "{here}, and the server's clock is {seconds:.3f} s ahead of this one (within {off:.3f} s)"
BEHIND = "{here}, and the server's clock is {seconds:.3f} s behind this one (within {off:.3f} s)"
UP = "{mbits:.1f} Mbit/s up ({mib:.1f} MiB in {seconds:.2f} s)"
DOWN = "{mbits:.1f} Mbit/s down ({mib:.1f} MiB in {seconds:.2f} s)"
LOST_UP = "of {count} bytes up, not all had arrived after {seconds:.1f} s"
LOST_DOWN = "of {count} bytes down, not all had arrived after {seconds:.1f} s"
LOST_CURE = (
    "if small messages pass and large ones do not, it is the MTU: try `ping -M do -s 1372` to the server, and set "
    "a smaller one on this machine's route to it; otherwise the line is that slow, or blocked"
)
MOST_SKEW = 5.0
"""The largest difference in seconds between two clocks that is not reported."""
TLS_CURE = "compare client.tls with what `gotunnel pin` prints on the server, and tls.mode in both files"


def judge(config: ClientConfig, at: HostPort, login: Login, now: datetime.datetime | None = None) -> list[Finding]:
    """Return the findings of a login at one address."""
    refused = login.refused
    if isinstance(refused, NotTrusted) or getattr(refused, "code", "") == "tls":
        return [problem("tls", Sentence("{at}: {refused}", at=at, refused=refused), TLS_CURE)]
    now = now or utc_now()
    found = _tls(config, at, login, now)
    found += [_authentication(config, at, login)]
    if login.certificate is not None or login.skew is not None:
        found += [_clock(login.certificate, login.skew, now)]
    if login.round_trips:
        trips = [seconds * 1000 for seconds in login.round_trips]
        said = Sentence("{median:.1f} ms, the median of {count} pings (longest {longest:.1f} ms)", count=len(trips),
                        median=median(trips), longest=max(trips))  # fmt: skip
        found += [ok("round trip", said)]
    found += _leg(login.leg)
    return found + _throughput(login)


def _tls(config: ClientConfig, at: HostPort, login: Login, now: datetime.datetime) -> list[Finding]:
    if config.tls.mode == "off":
        cure = "set tls.mode: required on both sides, unless the network between them is secret"
        return [warning("tls", "off: anybody on the path can read and change everything", cure)]
    shown = login.certificate
    if shown is None:
        return []
    until = dates(shown)[1]
    said = Sentence("TLS 1.3 with {at}: {subject}, pin {pin}, valid until {until:%Y-%m-%d %H:%M} UTC, {how}", at=at,
                    subject=printable(shown.subject.rfc4514_string()), pin=spki_pin(shown), until=until,
                    how=_checked_by(config))  # fmt: skip
    if config.tls.ca is not None and until - now < SOON:
        cure = Sentence("renew the server's certificate before {until:%Y-%m-%d %H:%M} UTC: client.tls.ca refuses "
                        "it after that", until=until)  # fmt: skip
        return [warning("tls", said, cure)]
    return [ok("tls", said)]


def _checked_by(config: ClientConfig) -> str:
    """Return what the server's certificate was checked against."""
    keys = ["client.tls.ca"] * (config.tls.ca is not None) + ["client.tls.pin"] * bool(config.tls.pin)
    if not keys:
        return "which nothing checks but the token"
    if len(keys) == 1:
        return Sentence("accepted by {key}", key=keys[0])
    return Sentence("accepted by {key} and {other}", key=keys[0], other=keys[1])


def _authentication(config: ClientConfig, at: HostPort, login: Login) -> Finding:
    refused = login.refused
    if refused is None:
        said = Sentence("{at} and this client ({name}) have proved to each other that they hold the token", at=at,
                        name=config.name)  # fmt: skip
        return ok("login", said)
    code = getattr(refused, "code", "")
    if code == "name_in_use":
        said = Sentence("{at} accepts the token and says that the client {name} is connected: the checks that "
                        "follow a login cannot be made while it runs", at=at, name=config.name)  # fmt: skip
        return ok("login", said)
    if isinstance(refused, Unreachable) and config.transport is not None:
        # Something on the way has refused, and the server has heard nothing of it.
        between = Sentence(
            "correct client.transport ({plugin}), or what stands between: the server has not been reached",
            plugin=config.transport.plugin,
        )
        return problem("login", str(refused), between)
    cure = LOGIN_CURES.get(code, "read the server's log of this moment")
    if isinstance(refused, AuthRejected) and "certificate" in refused.reason:
        cure = "set client.tls.cert and client.tls.key to a certificate that the server's client_ca issued"
    said = Sentence("{at} does not let {name} in: {refused}", at=at, name=config.name, refused=refused)
    return problem("login", said, cure)


def _clock(shown: x509.Certificate | None, skew: tuple[float, float] | None, now: datetime.datetime) -> Finding:
    here = Sentence("{now:%Y-%m-%d %H:%M} UTC here", now=now)
    if skew is not None:
        ahead, off = skew
        here = Sentence(AHEAD if ahead > 0 else BEHIND, here=here, seconds=abs(ahead), off=off)
        if abs(ahead) - off > MOST_SKEW:
            cure = "set both clocks by NTP: `timedatectl set-ntp true`, and see `timedatectl` on both machines"
            return warning("clock", here, cure)
    if shown is None:
        return ok("clock", here)
    first, last = dates(shown)
    if first <= now <= last:
        said = Sentence("{here}, within the dates of the server's certificate ({first:%Y-%m-%d} to {last:%Y-%m-%d})",
                        here=here, first=first, last=last)  # fmt: skip
        unseen = "" if skew is not None else "this server does not say its time, so a smaller skew is not seen"
        return ok("clock", Sentence.joined("; ", (said, unseen)))
    cure = "compare `date -u` on both machines; if they agree, renew the server's certificate"
    said = Sentence("{here}, and the server's certificate {problem}", here=here, problem=problem_with(shown, now))
    return warning("clock", said, cure)


def _throughput(login: Login) -> list[Finding]:
    found = login.throughput
    if found is None:
        if login.established is None:
            return []
        if isinstance(login.leg, GotunnelError):
            return [note("throughput", "not measured: there is no leg")]
        why = "not wanted" if login.can_measure else "the server's version does not take part in it"
        return [note("throughput", Sentence("not measured: {why}", why=why))]
    if isinstance(found, NotMeasured):
        return [note("throughput", Sentence("not measured: {why}", why=found))]
    up, down = found
    lost = up if not up.whole else down
    if not up.whole or not down.carried:
        said = Sentence(LOST_UP if lost is up else LOST_DOWN, count=up.carried if lost is up else MOST,
                        seconds=lost.seconds)  # fmt: skip
        return [warning("throughput", said, LOST_CURE)]
    said = Sentence("{up}, {down}, on one leg", up=_rate(True, up), down=_rate(False, down))
    return [ok("throughput", said)]


def _rate(up: bool, rate: Rate) -> Sentence:
    return Sentence(UP if up else DOWN, mbits=rate.mbits, mib=rate.carried / 2**20, seconds=rate.seconds)


def _leg(leg: float | GotunnelError | None) -> list[Finding]:
    if leg is None:
        return []
    if isinstance(leg, GotunnelError):
        cure = "let every connection of this machine reach the server's port, not the first alone"
        said = Sentence("a leg could not be brought: {reason}", reason=leg)
        return [problem("leg", said, Sentence.joined("; ", (cure, "see server.limits.legs")))]
    said = Sentence("a second connection was proved as a leg in {milliseconds:.1f} ms", milliseconds=leg * 1000)
    return [ok("leg", said)]

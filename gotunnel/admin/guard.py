"""Who may ask what by HTTP: the Host, the Origin and the token of a request. A browser of the operator must not be
talked into asking for somebody else. Pure: headers in, a refusal or nothing out."""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Mapping

from gotunnel.admin.face import Refused

__all__ = ["ONCE", "Guard"]

PROBES = ("/healthz", "/readyz")
"""Paths that need no token: they then tell no more than yes or no."""
ONCE = frozenset(("host", "origin", "authorization", "content-type", "sec-fetch-site"))
"""Headers that are judged here: of two that differ a proxy may have judged the other one."""
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^:\[\]@/]+))(?::[0-9]{1,5})?")


class Guard:
    """One per listener. A unix socket is `trusted`: the mode of its file says who may open it."""

    def __init__(self, *, trusted: bool, token: str | None = None, hosts: tuple[str, ...] = ()) -> None:
        self._trusted = trusted
        self._token = None if token is None else token.encode()
        self._hosts = {"localhost", *hosts}

    def admit(self, method: str, path: str, headers: Mapping[str, bytes]) -> bool:
        """Return whether he may know all; with False he may know a verdict and no reasons. `headers` has names in lower
        case. Raises Refused."""
        host = headers.get("host", b"").decode("ascii", "replace").strip().lower()
        origin = headers.get("origin", b"").decode("ascii", "replace").strip().lower()
        if origin and origin not in (f"http://{host}", f"https://{host}"):
            raise Refused("a page of another origin may not ask here", 403)
        if headers.get("sec-fetch-site", b"same-origin") not in (b"same-origin", b"none"):
            raise Refused("a page of another site may not ask here", 403)
        if method == "POST" and headers.get("content-type", b"").partition(b";")[0].strip() != b"application/json":
            raise Refused("what is posted here is Content-Type: application/json", 415)
        if self._trusted:
            return True
        if not self._known(host):
            raise Refused("this Host is not known here: ask by IP address, or name it in admin.hosts", 421)
        if self._token is None:
            if method == "POST":
                raise Refused("without a token nothing is changed here: use the socket, or set admin.token_file", 403)
            return True
        given = headers.get("authorization", b"")
        if hmac.compare_digest(given, b"Bearer " + self._token):
            return True
        if path in PROBES and not given:
            return False
        raise Refused("this needs the token of admin.token_file: Authorization: Bearer TOKEN", 401)

    def _known(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        name = "" if found is None else found[1] or found[2]
        if name in self._hosts:
            return True
        try:
            # No name of somebody else's can be made to lead here by an address.
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

"""The remedies for a mapping that a server refuses. One code can have several reasons; those of the server's system
have remedies of their own."""

from __future__ import annotations

from gotunnel.core.view import STOPPING
from gotunnel.net.listening import cure_of

__all__ = ["cure_for"]

_NO_GROUPS = "; the server's version does not support groups, and gives the port to one client; upgrade it"
_GROUP_CURES = {
    "port_in_use": "; a mapping without this group holds the port: give all of them the same group, or choose "
    "another port",
    "acl_denied": "; have the server allow the group, the port and the address (allow_groups, allow_ports, allow_bind)",
    "group_mismatch": "; give all members the same remote and encrypt, or this one a group of its own",
}
_CURES = {
    "port_in_use": "; choose another one (remote, or remote_port beside local_ports)",
    "acl_denied": "; choose an allowed one (remote, or remote_port beside local_ports), or have the server allow it "
    "(allow_ports, allow_bind)",
    "reserved": "; choose another one (remote, or remote_port beside local_ports)",
    "limit": "; the server's limits.mappings says how many",
    "bad_request": "; correct the mapping's remote, or the keys that go with it",
}
_UDP_CURE = "; choose an allowed one (remote), or have the server allow it (allow_udp_ports, allow_bind)"


def cure_for(code: str, reason: str, *, grouped: bool, can_group: bool, udp: bool = False) -> str:
    """Return what to do, as a continuation of the reason. `can_group` says whether the server supports groups."""
    if reason.endswith(STOPPING):
        return "; it is asked for again automatically"
    system = cure_of(reason)
    if system is not None:
        return system
    if grouped:
        cures = _GROUP_CURES if can_group else {"port_in_use": _NO_GROUPS}
        if code in cures:
            return cures[code]
    if udp and code == "acl_denied":
        return _UDP_CURE
    return _CURES.get(code, "; the server's log says more")

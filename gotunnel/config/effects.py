"""When a changed key of a running role takes effect, one word for each key. Changes nothing itself; a key that does not
stand here needs a restart, and a test holds the table to the models."""

from __future__ import annotations

from enum import Enum

__all__ = ["EFFECTS", "FOLLOWERS", "NAMED", "Effect", "effect_of"]


class Effect(Enum):
    """What becomes of a change while the process runs."""

    NOW = "now"
    """It holds at once, for who is there too."""
    NEXT = "next"
    """It holds for connections from now on; those that are there go on as they are."""
    ANEW = "anew"
    """What the key belongs to is closed and opened again: a mapping's or a forward's port, or the control connection.
    Streams go on."""
    PART = "part"
    """It is an abbreviation, or a place: what it leads to stands in another key, and that says what becomes of it."""
    RESTART = "restart"
    """It holds once the process is started anew."""


_NOW, _NEXT, _ANEW, _PART, _RESTART = Effect.NOW, Effect.NEXT, Effect.ANEW, Effect.PART, Effect.RESTART

NAMED = {"server.clients", "client.mappings", "client.forwards"}
"""Lists of groups that are compared name by name."""

FOLLOWERS = {
    "server.tls.mode": ("server.tls",),
    "client.tls.mode": ("client.name", "client.servers", "client.server_addr", "client.tls", "client.token"),
    "client.transport": ("client.servers", "client.server_addr"),
    "client.transport.plugin": ("client.servers", "client.server_addr"),
    "client.v1": ("client",),
}
"""Keys that need a restart, and what is not to be taken up without them: the other half of one wish."""

EFFECTS = {
    "server": _NOW,
    "server.addr": _RESTART,
    "server.log_level": _NOW,
    "server.log_lang": _NOW,
    "server.log_format": _RESTART,
    "server.token": _NOW,
    "server.token_file": _PART,
    "server.clients": _NOW,
    "server.clients.allow_ports": _NOW,
    "server.clients.allow_bind": _NOW,
    "server.clients.allow_dial": _NOW,
    "server.clients.allow_nodes": _NOW,
    "server.clients.allow_groups": _NOW,
    "server.clients.limits": _NOW,
    "server.clients.limits.mappings": _NOW,
    "server.clients.limits.legs": _NOW,
    "server.clients.limits.visitors": _NOW,
    "server.clients.limits.pending": _NOW,
    "server.clients.disabled": _NOW,
    "server.clients.name": _NOW,
    "server.clients.token": _NOW,
    "server.clients.token_file": _PART,
    "server.clients_file": _NOW,
    "server.authenticators": _NOW,
    "server.authenticators.plugin": _NOW,
    "server.access": _NOW,
    "server.access.plugin": _NOW,
    "server.tls": _NOW,
    "server.tls.mode": _RESTART,
    "server.tls.cert": _NEXT,
    "server.tls.key": _NEXT,
    "server.tls.client_ca": _NOW,
    "server.profile": _PART,
    "server.heartbeat": _NEXT,
    "server.heartbeat_timeout": _NEXT,
    "server.leg_name": _NEXT,
    "server.handshake_timeout": _NEXT,
    "server.allow_ports": _NOW,
    "server.port_allocator": _NOW,
    "server.port_allocator.plugin": _NOW,
    "server.allow_dial": _NOW,
    "server.allow_nodes": _NOW,
    "server.allow_groups": _NOW,
    "server.egress": _NOW,
    "server.egress.listen": _ANEW,
    "server.egress.socket_mode": _ANEW,
    "server.egress.default": _ANEW,
    "server.allow_plain_legs": _RESTART,
    "server.proxy_from": _NEXT,
    "server.drain_timeout": _NOW,
    "server.leg_wait": _NOW,
    "server.limits": _NOW,
    "server.limits.unauthenticated": _NOW,
    "server.limits.unauthenticated_per_address": _NOW,
    "server.limits.mappings": _NOW,
    "server.limits.legs": _NOW,
    "server.limits.visitors": _NOW,
    "server.limits.pending": _NOW,
    "server.limits.streams": _NOW,
    "server.limits.messages": _NEXT,
    "server.penalties": _NOW,
    "server.penalties.enabled": _NOW,
    "server.penalties.auth_failure": _NOW,
    "server.penalties.no_auth": _NOW,
    "server.penalties.minimum": _NOW,
    "server.penalties.maximum": _NOW,
    "server.penalties.table": _NOW,
    "server.penalties.exempt": _NOW,
    "server.admin": _RESTART,
    "server.admin.enabled": _RESTART,
    "server.admin.socket": _RESTART,
    "server.admin.addr": _RESTART,
    "server.admin.token": _RESTART,
    "server.admin.token_file": _RESTART,
    "server.admin.hosts": _RESTART,
    "server.observers": _NOW,
    "server.observers.plugin": _NOW,
    "server.usage": _NOW,
    "server.usage.enabled": _NOW,
    "server.usage.keep": _NOW,
    "server.usage.file": _NOW,
    "server.listeners": _RESTART,
    "server.listeners.plugin": _RESTART,
    "server.relay": _RESTART,
    "server.v1": _NOW,
    "server.v1.enabled": _NOW,
    "server.v1.token": _NOW,
    "server.v1.token_file": _PART,
    "server.v1.allow_ports": _NOW,
    "client": _NOW,
    "client.name": _ANEW,
    "client.token": _NEXT,
    "client.token_file": _PART,
    "client.bearer": _NEXT,
    "client.servers": _ANEW,
    "client.server_addr": _ANEW,
    "client.local_ports": _PART,
    "client.remote_port": _PART,
    "client.log_level": _NOW,
    "client.log_lang": _NOW,
    "client.log_format": _RESTART,
    "client.health_check_interval": _PART,
    "client.forwards": _NOW,
    "client.forwards.name": _NOW,
    "client.forwards.listen": _ANEW,
    "client.forwards.dial": _NEXT,
    "client.forwards.encrypt": _NEXT,
    "client.forwards.proxy_protocol": _NEXT,
    "client.forwards.socket_mode": _ANEW,
    "client.nodes": _NOW,
    "client.nodes.match": _NOW,
    "client.nodes.allow_ports": _NOW,
    "client.nodes.dial": _NOW,
    "client.egress": _NOW,
    "client.egress.listen": _ANEW,
    "client.egress.socket_mode": _ANEW,
    "client.mappings": _NOW,
    "client.mappings.name": _NOW,
    "client.mappings.local": _NEXT,
    "client.mappings.remote": _ANEW,
    "client.mappings.public": _ANEW,
    "client.mappings.clients": _NOW,
    "client.mappings.encrypt": _ANEW,
    "client.mappings.group": _ANEW,
    "client.mappings.proxy_protocol": _NEXT,
    "client.mappings.health": _NOW,
    "client.mappings.health.type": _NOW,
    "client.mappings.health.interval": _NOW,
    "client.mappings.health.timeout": _NOW,
    "client.mappings.health.failures": _NOW,
    "client.mappings.health.successes": _NOW,
    "client.mappings.health.path": _NOW,
    "client.mappings.health.host": _NOW,
    "client.mappings.health.status": _NOW,
    "client.mappings.health.tls": _NOW,
    "client.mappings.health.tls.ca": _NOW,
    "client.mappings.health.tls.server_name": _NOW,
    "client.mappings.health.tls.verify": _NOW,
    "client.tls": _NOW,
    "client.tls.mode": _RESTART,
    "client.tls.ca": _NEXT,
    "client.tls.server_name": _NEXT,
    "client.tls.pin": _NEXT,
    "client.tls.cert": _NEXT,
    "client.tls.key": _NEXT,
    "client.dial_timeout": _NEXT,
    "client.drain_timeout": _NOW,
    "client.heartbeat_interval": _NEXT,
    "client.profile": _NEXT,
    "client.admin": _RESTART,
    "client.admin.enabled": _RESTART,
    "client.admin.socket": _RESTART,
    "client.admin.addr": _RESTART,
    "client.admin.token": _RESTART,
    "client.admin.token_file": _RESTART,
    "client.admin.hosts": _RESTART,
    "client.observers": _NOW,
    "client.observers.plugin": _NOW,
    "client.usage": _NOW,
    "client.usage.enabled": _NOW,
    "client.usage.keep": _NOW,
    "client.usage.file": _NOW,
    "client.transport": _RESTART,
    "client.transport.plugin": _RESTART,
    "client.relay": _RESTART,
    "client.v1": _RESTART,
}


def effect_of(key: str) -> Effect:
    """Return what becomes of a change of this key; one that nobody has thought of needs a restart."""
    return EFFECTS.get(key, Effect.RESTART)

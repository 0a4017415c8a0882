"""What the machine grants a role: file descriptors. Changes no limit."""

from __future__ import annotations

import sys

from gotunnel.cli.doctor.findings import Finding, note, ok, problem, warning
from gotunnel.core.descriptors import Shares
from gotunnel.errors import Sentence
from gotunnel.net.descriptors import ENOUGH, LOW

__all__ = ["client_descriptors", "server_descriptors"]

CURE = "raise LimitNOFILE (systemd) or the hard limit (`ulimit -Hn`)"


def client_descriptors() -> list[Finding]:
    """Return the finding about the descriptors of a client started from this shell."""
    return _found(_hard(), None)


def server_descriptors(streams: int | None) -> list[Finding]:
    """Return the same for a server with this `limits.streams`."""
    return _found(_hard(), streams)


def _hard() -> int | None:
    if sys.platform == "win32":
        return None
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    # A role raises its soft limit to the hard limit when it starts.
    return ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)


def _found(limit: int | None, streams: int | None) -> list[Finding]:
    if limit is None:
        return [note("nofile", "this system has no such limit")]
    most = Shares(limit).streams
    said = Sentence("{limit} file descriptors for a program of this shell, enough for about {most} visitors at a time",
                    limit=limit, most=most)  # fmt: skip
    if streams is not None and streams > most:
        too_many = Sentence("server.limits.streams is {streams}, but there are {said}", streams=streams, said=said)
        return [problem("nofile", too_many, CURE)]
    if limit < LOW:
        return [warning("nofile", said, CURE)]
    return [ok("nofile", Sentence.joined("; ", (said, "systemd gives a service its own (LimitNOFILE)")))]

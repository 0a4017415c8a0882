"""Handles a server's reports on other clients' mappings to which forwards of this client lead: that it lets nobody in,
or does so again. They are only shown and logged; visitors are still sent to the server."""

from __future__ import annotations

from typing import Any

from gotunnel.client.forwards import Forwards
from gotunnel.client.openers import Opener
from gotunnel.core.view import SWITCHED_OFF, SWITCHED_OFF_AT_SERVER
from gotunnel.dialrules import MappingTarget
from gotunnel.errors import printable
from gotunnel.logs import Logger
from gotunnel.net.warnings import Warnings
from gotunnel.wire.messages import MappingState

__all__ = ["ForwardNews"]


class ForwardNews:
    """Part of a session. `opener` serves the visitors of forwards at its server."""

    log = Logger()

    def __init__(self, forwards: Forwards, opener: Opener, clock: Any) -> None:
        self._forwards = forwards
        self._opener = opener
        self._warn = Warnings(self.log, clock).warn  # a server could switch between both reports for ever

    def told(self, message: MappingState) -> None:
        """Handle a report. A forward is off once every serving server reports so."""
        target, openers = MappingTarget(message.client, message.name), self._forwards.openers
        reason = None
        if message.state == "down":
            said = message.reason
            reason = SWITCHED_OFF_AT_SERVER if said == SWITCHED_OFF else printable(said) or "no reason is given"
        before = openers.why_off(target)
        openers.told_off(self._opener, target, reason)
        why = openers.why_off(target)
        for forward in self._forwards.leading_to(target) if bool(before) != bool(why) else ():
            if why:
                self._warn(
                    "off", "forward {forward}: the server does not lead visitors to {target}: {reason}; gotunnel "
                           "status there shows it", forward=forward, target=str(target), reason=why,
                )  # fmt: skip
            else:
                self.log.info("forward {forward}: visitors reach {target} again", forward=forward, target=str(target))

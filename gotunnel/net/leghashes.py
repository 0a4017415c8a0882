"""What the proofs of OPENs begin with, at either end of plain legs."""

from __future__ import annotations

from gotunnel.interfaces import ILeg
from gotunnel.net.greeting import SessionKey
from gotunnel.wire.fields import Purpose
from gotunnel.wire.handshake import open_hashes
from gotunnel.wire.openform import Hashes

__all__ = ["LegHashes"]


class LegHashes(dict[ILeg, Hashes]):
    """Those of the legs of one session and purpose: hashed when a leg's first OPEN is due, and kept for the others.
    Whoever has the legs takes out those that are gone. A dictionary, since each visitor asks."""

    def __init__(self, key: SessionKey, purpose: Purpose) -> None:
        super().__init__()
        self._key = key
        self._purpose = purpose

    def __missing__(self, leg: ILeg) -> Hashes:
        hashes = self[leg] = open_hashes(self._key.ks, self._key.sid, leg.tag, self._purpose)
        return hashes

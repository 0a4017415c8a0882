"""Hashes with which the proofs in OPEN frames begin, kept per plain leg; used at both ends."""

from __future__ import annotations

from gotunnel.interfaces import ILeg
from gotunnel.net.greeting import SessionKey
from gotunnel.wire.fields import Purpose
from gotunnel.wire.handshake import open_hashes
from gotunnel.wire.openform import Hashes

__all__ = ["LegHashes"]


class LegHashes(dict[ILeg, Hashes]):
    """The hashes of the plain legs of one session and purpose. They are computed at a leg's first OPEN and kept for the
    following ones. The owner of the legs removes those of lost legs. A dictionary, since each visitor looks one up."""

    def __init__(self, key: SessionKey, purpose: Purpose) -> None:
        super().__init__()
        self._key = key
        self._purpose = purpose

    def __missing__(self, leg: ILeg) -> Hashes:
        hashes = self[leg] = open_hashes(self._key.ks, self._key.sid, leg.tag, self._purpose)
        return hashes

"""The compiled part of the fast relay against the one in Python: one random script, played on both, must look the same
to the last word."""

from __future__ import annotations

from pathlib import Path
from unittest import skipUnless

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.wire.legstate import End

try:
    from gotunnel.net.deadlines import Deadlines
    from gotunnel.net.fast import _native
    from gotunnel.net.fast.nativeleg import (
        NativeDeadlines,
        NativeLocal,
        NativePlainLeg,
        NativePump,
        NativeTlsLeg,
    )
    from gotunnel.net.fast.plainleg import PlainFastLeg
    from gotunnel.net.fast.poller import Pump
    from gotunnel.net.fast.slottedlocal import SlottedLocal
    from gotunnel.net.fast.tlsleg import TlsFastLeg
    from gotunnel.net.legtls import client_leg_tls, server_leg_context
    from gotunnel.net.tls import OWN_FILE, own_server_tls
    from tests.net.twins import SPINNING, Kind, Play
    from tests.net.twinwire import Tls

    BUILT = bool(_native)
except ImportError:
    BUILT = False

PLAYS, STEPS = 130, 70


@skipUnless(BUILT, "the extension is not built")
class SameTests(SynchronousTestCase):
    """Scripts with good and bad frames in any pieces, slow readers, resets, owners that close or raise."""

    def compare(self, tls: bool) -> None:
        """Play on both."""
        legs = (TlsFastLeg, NativeTlsLeg) if tls else (PlainFastLeg, NativePlainLeg)
        reference = Kind(Pump, Deadlines, SlottedLocal, legs[0])
        compiled = Kind(NativePump, NativeDeadlines, NativeLocal, legs[1])
        mixed = (
            Kind(NativePump, NativeDeadlines, SlottedLocal, legs[1]), Kind(NativePump, Deadlines, NativeLocal, legs[0]),
        )  # fmt: skip
        contexts = None
        if tls:
            state = Path(self.mktemp())
            state.mkdir()
            own_server_tls(state)
            server = server_leg_context(state / OWN_FILE, state / OWN_FILE)
            contexts = Tls(server, client_leg_tls(None, "server").context)
        for seed in range(PLAYS):
            for end in End:
                expected = Play(seed, reference, contexts, end).run(STEPS)
                self.assertNotIn(SPINNING, expected, f"seed {seed}, {end.value}")
                for kind in (compiled, mixed[seed % 2]) if seed % 5 == 0 else (compiled,):
                    got = Play(seed, kind, contexts, end).run(STEPS)
                    self.same(expected, got, f"seed {seed}, {end.value}, {kind}")
        self.flushLoggedErrors(RuntimeError)

    def same(self, expected: list[str], got: list[str], what: str) -> None:
        """Compare two plays, and show where they part."""
        for at, (one, other) in enumerate(zip(expected, got, strict=False)):
            if one != other:
                before = "\n".join(expected[max(0, at - 12) : at])
                self.fail(f"{what}, line {at}:\n{before}\n- {one}\n+ {other}")
        self.assertEqual(len(expected), len(got), what)

    def test_plain(self) -> None:
        """On plain legs."""
        self.compare(False)

    def test_tls(self) -> None:
        """On legs inside TLS."""
        self.compare(True)

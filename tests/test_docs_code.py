"""The protocol page and the operating page against the code: vectors, frames, messages, codes, log lines, outcomes."""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import hmac
import re

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.config.effects import EFFECTS, Effect
from gotunnel.core.outcome import Outcome
from gotunnel.wire import handshake, legbodies, messages
from gotunnel.wire.legs import DONE_FRAME, FIN_FRAME, PROBE_FRAME, LegFrame, encode_leg_frame
from tests.pages import DOCS, LANGUAGES, ROOT, blocks


class EffectTests(SynchronousTestCase):
    """The operating page against the table of effects."""

    def test_keys(self) -> None:
        """In both languages it names the keys that hold later, or with something closed, and no others."""
        for language in LANGUAGES:
            text = (DOCS / language / "operating.md").read_text("utf-8")
            rows = re.findall(r"^\| [^|]+ \| ((?:`(?:server|client)\.[a-z0-9_.]+`(?:, )?)+) \|$", text, re.MULTILINE)
            written = [re.findall(r"`([^`]+)`", row) for row in rows]
            expected = [
                [key for key, effect in EFFECTS.items() if effect is wanted]
                for wanted in (Effect.NEXT, Effect.ANEW, Effect.RESTART)
            ]
            self.assertEqual(written, expected, language)


class ProtocolTests(SynchronousTestCase):
    """The protocol page against gotunnel.wire."""

    def test_vectors(self) -> None:
        """Every golden vector in both languages is what the code computes from the payloads on the page."""
        token, sid, plain = "0123456789abcdef" * 4, bytes(range(16)), handshake.NO_BINDING
        for language in LANGUAGES:
            text = (DOCS / language / "protocol.md").read_text("utf-8")
            (pair,) = [block.text for block in blocks(text) if block.words == ("json",)]
            hello, challenge = (line.encode() for line in pair.splitlines())
            th = handshake.transcript(hello, challenge, plain)
            key = handshake.derive_key(token, "edge-07")
            ks = handshake.session_key(key, th)
            opening = ("reverse", 1, "mapping", "kubelet", "c0ffee-1", "192.0.2.1:50000")
            computed = [
                th,
                key,
                handshake.client_mac(key, th),
                handshake.server_mac(key, th),
                ks,
                handshake.leg_client_mac(ks, sid, 7, "reverse", plain),
                handshake.leg_server_mac(ks, sid, 7, "reverse", plain),
                handshake.open_mac(ks, sid, 7, *opening),
                handshake.open_mac(ks, sid, 7, *opening, "203.0.113.1:10250"),
            ]
            rows = re.findall(r"^\|.*\| `([0-9a-f]{64})` \|$", text, re.MULTILINE)
            self.assertEqual(rows, [value.hex() for value in computed])

    def test_open_mac_by_hand(self) -> None:
        """The MAC of an OPEN follows the formula of the page, written out with nothing but the standard library."""
        ks = bytes(range(32))
        numbers = [(7).to_bytes(8, "big"), (2).to_bytes(8, "big")]
        parts = [b"open", b"s" * 16, numbers[0], b"reverse", numbers[1], b"mapping", b"m", b"c", b"a"]
        framed = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        expected = hmac.new(ks, framed, hashlib.sha256).digest()
        self.assertEqual(
            handshake.open_mac(ks, b"s" * 16, 7, "reverse", 2, "mapping", "m", "c", "a"), expected
        )

    def test_frames(self) -> None:
        """Every leg frame that the page spells out is what the code sends."""
        opening = legbodies.OpenBody("c0ffee-1", "192.0.2.1:50000", mapping="kubelet").encode()
        frames = [
            encode_leg_frame(LegFrame.OPEN, opening),
            encode_leg_frame(LegFrame.OPENED, legbodies.OpenedBody().encode()),
            encode_leg_frame(LegFrame.DATA, b"hi"),
            FIN_FRAME,
            encode_leg_frame(LegFrame.RST, legbodies.RstBody("refused").encode()),
            DONE_FRAME,
            PROBE_FRAME,
        ]
        for language in LANGUAGES:
            text = (DOCS / language / "protocol.md").read_text("utf-8")
            self.assertEqual(
                [frame.hex() for frame in frames if not re.search(rf"\b{frame.hex()}\b", text)], []
            )

    def test_complete(self) -> None:
        """Every message, every field and every leg frame is on the page; and every JSON example is one of ours."""
        classes = messages._CLASSES
        words = set(classes) | {kind.name for kind in LegFrame}
        parts = [*classes.values(), messages.MappingRequest, messages.MappingResult, messages.Limits]
        for cls in (*parts, legbodies.OpenBody, legbodies.RstBody):
            words |= {field.name for field in dataclasses.fields(cls)}
        for language in LANGUAGES:
            text = (DOCS / language / "protocol.md").read_text("utf-8")
            self.assertEqual([word for word in sorted(words) if not re.search(rf"\b{word}\b", text)], [])
            for example in re.findall(r'\{"type":.*?\}(?=$|   )', text, re.MULTILINE):
                filled = example.replace('"sid":B64', f'"sid":"{"A" * 22}"').replace("B64", f'"{"A" * 43}"')
                filled = filled.replace("HEX", f'"{"0" * 64}"')
                messages.decode(filled.encode())

    def test_error_codes(self) -> None:
        """Every code that a peer may get from this release is explained."""
        told = {"auth_failed", "name_in_use"}
        for path in (ROOT / "gotunnel").rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Error":
                    if node.args and isinstance(node.args[0], ast.Constant):
                        told.add(str(node.args[0].value))
        self.assertGreater(len(told), 5)
        for language in LANGUAGES:
            text = (DOCS / language / "protocol.md").read_text("utf-8")
            self.assertEqual([code for code in sorted(told) if f"`{code}`" not in text], [])


class OperatingTests(SynchronousTestCase):
    """The operating page against the code."""

    def test_log_lines(self) -> None:
        """Every log line on the page is a text of the code."""
        texts = "\0".join(
            node.value
            for path in sorted((ROOT / "gotunnel").rglob("*.py"))
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        )
        for language in LANGUAGES:
            text = (DOCS / language / "operating.md").read_text("utf-8")
            lines = re.findall(r"^\| (?:info|warn|error) \| `([^`]+)` \|", text, re.MULTILINE)
            self.assertGreater(len(lines), 30)
            self.assertEqual([line for line in lines if line not in texts], [])

    def test_outcomes(self) -> None:
        """Every way in which a visitor can end with this release is explained, and no other."""
        used = set()
        for path in (ROOT / "gotunnel").rglob("*.py"):
            used |= set(re.findall(r"\bOutcome\.([A-Z_]+)\b", path.read_text("utf-8")))
        for language in LANGUAGES:
            text = (DOCS / language / "operating.md").read_text("utf-8")
            rows = re.findall(r"^\| ((?:`[a-z_]+`[、, ]*)+) \|", text, re.MULTILINE)
            told = {word for row in rows for word in re.findall(r"`([a-z_]+)`", row)}
            self.assertEqual(told, {Outcome[name].value for name in used})

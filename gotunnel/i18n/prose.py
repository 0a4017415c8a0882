"""Which fields hold words. Separate from `sentences`, so that an English log need not import that."""

from __future__ import annotations

__all__ = ["PROSE"]

PROSE = frozenset({
    "advice", "breach", "chain", "cure", "down", "error", "failed", "failure", "gone", "hint", "how", "limit", "line",
    "more", "msg", "nothing", "outcome", "owner", "problem", "purpose", "reason", "refusal", "refused", "said", "state",
    "strerror", "switched_off", "tls", "use", "verdict", "visitor", "was", "what", "who", "whose", "why", "words",
    "wrong",
})  # fmt: skip
"""Fields of log lines and Sentences that hold our words without being Sentences: constants, and texts of a peer. All
other fields are names, addresses and numbers, whatever they look like."""

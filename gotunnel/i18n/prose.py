"""Which fields hold words. A log in English has no other use for what says sentences in another language."""

from __future__ import annotations

__all__ = ["PROSE"]

PROSE = frozenset({
    "advice", "breach", "chain", "cure", "down", "error", "failed", "failure", "gone", "hint", "how", "limit", "line",
    "more", "msg", "nothing", "outcome", "owner", "problem", "purpose", "reason", "refusal", "refused", "said", "state",
    "strerror", "switched_off", "tls", "use", "verdict", "visitor", "was", "what", "who", "whose", "why", "words",
    "wrong",
})  # fmt: skip
"""Fields of log lines and of Sentences that hold words of ours where they are no Sentences themselves: constants, and
what a peer says. All others are names, addresses and numbers, whatever they look like."""

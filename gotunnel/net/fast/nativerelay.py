"""The fast relay with its inner part compiled (`_native`, whose sources are in `native`). Built where it can be, and
never required: the relay in Python is its reference and its fallback."""

from __future__ import annotations

from gotunnel.net.fast.relay import FastRelay

__all__ = ["NativeRelay"]


class NativeRelay(FastRelay):
    """See FastRelay."""

    name = "native"

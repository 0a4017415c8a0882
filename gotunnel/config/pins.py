"""The kind of a value that names a server's key by its hash."""

from __future__ import annotations

import base64
import re
from typing import Annotated, Any

from gotunnel.config.kinds import Kind, each, text_of, wrong
from gotunnel.config.scalars import shown

__all__ = ["Pins", "read_pin"]

CURE = 'write what `gotunnel pin` prints on the server, like "sha256:" and 44 characters of base64'

_PIN = re.compile(r"sha256(?::|//?)(\S+)")


def read_pin(value: Any) -> str:
    """Return a pin in its canonical form, `sha256:` and base64. Also accepts `sha256/…` and curl's `sha256//…`, base64
    without padding or with - and _, and 64 hexadecimal digits, as kubeadm writes them. Raises the error of `wrong`."""
    text = text_of(value, "a pin", CURE)
    found = _PIN.fullmatch(text)
    if found is None:
        raise wrong(f"{shown(value)} is not a pin", CURE)
    try:
        if re.fullmatch(r"[0-9a-fA-F]{64}", found[1]):
            digest = bytes.fromhex(found[1])
        else:
            plain = found[1].rstrip("=").replace("-", "+").replace("_", "/")
            digest = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except ValueError:  # includes binascii.Error
        digest = b""
    if len(digest) != 32:
        raise wrong(f"{shown(value)} is not a pin: it does not hold the 32 bytes of a SHA-256", CURE)
    return "sha256:" + base64.b64encode(digest).decode()


def _read_pins(value: Any) -> tuple[str, ...]:
    return each(value, read_pin)


_TEXT = {"type": "string"}

Pins = Annotated[
    tuple[str, ...],
    Kind("pin, or list of pins", _read_pins, list, {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}),
]

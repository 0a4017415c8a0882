"""What is said in the same words in both sections of a file: the choices of a few keys, and that a key belongs to its
certificate."""

from __future__ import annotations

from typing import Literal

from pydantic import ValidationInfo

from gotunnel.config.kinds import choice, wrong

__all__ = [
    "FORMAT", "FORMAT_WORDS", "KUBERNETES", "LANG", "LANG_WORDS", "LEVEL", "PROFILE", "RELAY", "RELAY_WORDS",
    "TLS_MODE", "LogFormat", "LogLang", "LogLevel", "Profile", "RelayName", "TlsMode", "belongs_to_cert",
]  # fmt: skip

LEVEL = choice("debug", "info", "warn", "error")
LANG = choice("en", "zh")
LANG_WORDS = "language of the log; JSON stays English"
FORMAT = choice("text", "json")
FORMAT_WORDS = "how the log is written; `--log-format` says otherwise"
TLS_MODE = choice("required", "off")

LogLevel = Literal["debug", "info", "warn", "error"]
LogLang = Literal["en", "zh"]
LogFormat = Literal["text", "json"]
TlsMode = Literal["required", "off"]

Profile = Literal["default", "kubernetes"]
PROFILE = choice("default", "kubernetes")
KUBERNETES = {"heartbeat": 5.0, "heartbeat_timeout": 15.0}
"""A node is marked NotReady after 40 s: a dead path must be noticed and replaced well before."""
RelayName = Literal["auto", "portable", "fast"]
RELAY = choice("auto", "portable", "fast")
RELAY_WORDS = "how bytes are moved; `auto` is `fast` where it can run (Linux), else `portable`"


def belongs_to_cert(key: object, info: ValidationInfo) -> object:
    """Return `key` if it stands with `cert` or both are absent. Raises the error of `wrong`."""
    if key is None and info.data.get("cert") is not None:
        raise wrong("is missing beside cert", "add key: with the private key of that certificate")
    if key is not None and "cert" in info.data and info.data["cert"] is None:
        raise wrong("stands without cert", "add cert: with the certificate of that key")
    return key

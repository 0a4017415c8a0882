"""The options of the built-in authenticators and access policies. Nothing here asks anybody."""

from __future__ import annotations

import re
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator

from gotunnel.config.kinds import Kind, Section, each, seconds, text_of, wrong
from gotunnel.config.networks import Networks
from gotunnel.config.paths import ReadableFile, TokenFile
from gotunnel.config.scalars import shown

__all__ = ["HtpasswdOptions", "NetworksOptions", "TokenReviewOptions", "WebhookOptions"]

NAMESPACES_CURE = "write {namespace} into it, or name one namespace in namespaces"
FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"


def _read_url(value: Any) -> str:
    cure = "write an https URL, like https://auth.example.com/gotunnel; http only for 127.0.0.1, ::1 and localhost"
    text = text_of(value, "a URL", cure)
    try:
        parts = urlsplit(text)
        number = parts.port
    except ValueError:
        raise wrong(f"{shown(value)} is not a URL", cure) from None
    if number == 0 or not text.isascii() or not text.isprintable() or " " in text or not parts.hostname:
        raise wrong(f"{shown(value)} is not a URL", cure)
    here = parts.hostname in ("127.0.0.1", "::1", "localhost")
    if parts.scheme != "https" and not (parts.scheme == "http" and here):
        raise wrong("would send tokens in clear", cure)
    if parts.username is not None or parts.password is not None:
        raise wrong("has a password in it", "put the secret into a file, and name that with secret_file")
    return text


def _read_template(value: Any) -> str:
    cure = 'write the client\'s name with {namespace} and {name} in it, like "{namespace}.{name}"'
    text = text_of(value, "a name", cure)
    if not re.fullmatch(r"(\{namespace\}|\{name\}|[A-Za-z0-9._-])+", text):
        raise wrong(f"{shown(value)} is not a pattern of a client's name", cure)
    if "{name}" not in text:
        raise wrong("gives all service accounts one name", cure)
    between = re.fullmatch(r"[^{}]*\{\w+\}([^{}]*)(?:\{\w+\}[^{}]*)?", text)
    if between is None or text.count("{name}") > 1:
        raise wrong("has a part twice", cure)
    # A namespace only has these characters: a name "b-c" in "a" must not give the same client as a name "c" in "a-b".
    if "{namespace}" in text and not re.search(r"[^a-z0-9-]", between[1]):
        raise wrong("can give accounts of two namespaces one name", cure)
    return text


def _read_texts(value: Any) -> tuple[str, ...]:
    return each(value, lambda item: text_of(item, "a text", "write texts, like [gotunnel]"))


_LIST = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
Url = Annotated[str, Kind("https URL", _read_url)]
Texts = Annotated[tuple[str, ...], Kind("text, or list of texts", _read_texts, list, _LIST)]


Stay = Annotated[float, seconds(1, 86_400 * 365)] | None
_STAY = (
    "how long a client may stay before it is disconnected and must show its token again; if not set, as long as it is "
    "connected"
)


def _not_empty(value: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse an empty list: an absent one means any, and an empty one may have been meant as none."""
    if not value:
        raise wrong("is a list of nothing", "leave it out for any, or name at least one")
    return value


class WebhookOptions(Section):
    """Where to ask."""

    url: Url = Field(description="URL that is asked by POST, with a JSON object; see docs/en/plugins.md")
    ca: ReadableFile | None = Field(
        default=None,
        description="certificates in PEM, one of which must have signed the service's certificate; if not set, those "
        "of the system",
    )
    secret_file: TokenFile | None = Field(
        default=None, description="file with a secret that is sent with each request, as a bearer token"
    )


class TokenReviewOptions(Section):
    """Which API server, and which of its service accounts."""

    api: Url = Field(default="https://kubernetes.default.svc", description="the API server")
    ca: TokenFile = Field(
        default=f"{FOLDER}/ca.crt",
        validate_default=True,
        description="certificates in PEM, one of which must have signed the API server's certificate",
    )
    secret_file: TokenFile = Field(
        default=f"{FOLDER}/token",
        validate_default=True,
        description="file with the token of this server's own service account, which must be allowed to create "
        "TokenReviews; read again each time",
    )
    audiences: Texts = Field(
        default=("gotunnel",), description="audiences; a client's token must be meant for at least one of them"
    )
    namespaces: Texts = Field(default=(), description="namespaces whose service accounts are let in; if not set, any")
    client: Annotated[str, Kind("pattern of a name", _read_template)] = Field(
        default="{namespace}.{name}", description="name of the client that belongs to a service account"
    )

    seconds: Stay = Field(default=None, description=_STAY)
    _some = field_validator("audiences", "namespaces")(_not_empty)

    @field_validator("client")
    @classmethod
    def _tells_them_apart(cls, client: str, info: ValidationInfo) -> str:
        namespaces = info.data.get("namespaces")  # absent where it is wrong itself
        if "{namespace}" not in client and namespaces is not None and len(namespaces) != 1:
            raise wrong("gives accounts of several namespaces one name", NAMESPACES_CURE)
        return client


class HtpasswdOptions(Section):
    """Where the passwords are."""

    file: TokenFile = Field(
        description="file with a line NAME:HASH for each client, read again when it changes; only its owner may read it"
    )
    seconds: Stay = Field(default=None, description=_STAY)


class NetworksOptions(Section):
    """Which visitors may come."""

    allow: Networks = Field(
        default=(), description="visitors from these networks are let in; if not set, all but those of `deny`"
    )
    deny: Networks = Field(default=(), description="visitors from these networks are refused, whatever `allow` says")
    mappings: Texts = Field(
        default=(), description="mappings to which this applies, as patterns of CLIENT/NAME; if not set, all"
    )
    _some = field_validator("allow", "mappings")(_not_empty)

"""Finds the token of a section: in the file itself, in a file that it names, or in the environment; exactly one of
these. Also finds the tokens of a server's clients, except in the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic_core import PydanticCustomError

from gotunnel.config.fields import MAX_TOKENS, read_token, read_tokens
from gotunnel.config.kinds import parts_of
from gotunnel.config.paths import absolute
from gotunnel.config.scalars import Text, shown
from gotunnel.config.secretfile import Refused, secret_file
from gotunnel.config.source import BROKEN, Document, Flaw, KeyPath
from gotunnel.errors import Sentence, printable

__all__ = ["VARIABLE", "resolve_client_tokens", "resolve_token", "resolve_token_of", "token_in"]

VARIABLE = "GOTUNNEL_TOKEN"
"""The environment variable with the token for a section that names none."""

MAX_BYTES = 4096

CLIENT_CURE = "make one with `gotunnel token`, and name it with token or token_file"


def resolve_token(
    role: str, section: dict[str, Any], base: Path, env: Mapping[str, str], document: Document
) -> None:
    """Store the token in `section` as `token`, an accepted SecretStr. A mistake becomes a flaw of the document, and
    BROKEN takes the token's place."""
    own: KeyPath = (role, "token")
    if "token" in section or "token_file" in section:
        _refuse_two(role, section, env, document)
    try:
        if "token" in section:
            if section["token"] is not BROKEN:
                section["token"] = read_token(section["token"])
        elif "token_file" in section:
            own = (role, "token_file")
            if section["token_file"] is BROKEN:
                section["token"] = BROKEN
            else:
                section["token"] = _from_file(section["token_file"], base, env, read_token)
        elif VARIABLE in env:
            own = (role,)
            try:
                section["token"] = read_token(str(env[VARIABLE]))
            except PydanticCustomError as error:
                (_, what, cure) = parts_of(error)[0]
                raise Refused(Sentence(
                    "{variable} in the environment: {what}", variable=VARIABLE, what=what
                ), cure) from None
    except Refused as refused:
        _add(document, own, refused.what, refused.cure)
        section["token"] = BROKEN
    except PydanticCustomError as error:
        for _, what, cure in parts_of(error):
            _add(document, own, what, cure)
        section["token"] = BROKEN


def resolve_client_tokens(clients: Any, base: Path, env: Mapping[str, str], document: Document) -> None:
    """Do the same for each group of keys in `server.clients`: `token` becomes a tuple of one or two accepted
    SecretStr."""
    for index, client in enumerate(clients if isinstance(clients, list) else ()):
        if not isinstance(client, dict):
            continue
        here: KeyPath = ("server", "clients", index)
        named = [key for key in ("token", "token_file") if key in client]
        values = [client[key] for key in named]
        client["token"] = BROKEN
        if BROKEN in values:
            continue
        if len(named) != 1:
            what = "token and token_file both name a token" if named else "there is no token"
            _add(document, (*here, "token"), what, "keep one of them" if named else CLIENT_CURE)
            continue
        try:
            read = _two_lines if named == ["token_file"] else None
            client["token"] = read_tokens(values[0]) if read is None else _from_file(values[0], base, env, read)
        except Refused as refused:
            _add(document, (*here, named[0]), refused.what, refused.cure)
        except PydanticCustomError as error:
            for below, what, cure in parts_of(error):
                _add(document, (*here, named[0], *below), what, cure)


def _two_lines(text: str) -> Any:
    lines = [line for line in text.splitlines() if line.strip()]
    return read_tokens(lines[: MAX_TOKENS + 1] if lines else [""])


def resolve_token_of(section: Any, path: KeyPath, base: Path, env: Mapping[str, str], document: Document) -> None:
    """Do the same for a group of keys below a role, such as `server.v1`, if it is one. The environment's token is not
    used."""
    named = [key for key in ("token", "token_file") if isinstance(section, dict) and key in section]
    if not named:
        return
    value = section[named[0]]
    section["token"] = BROKEN
    here: KeyPath = (*path, named[0])
    if len(named) > 1:
        _add(document, here, "token and token_file both name a token", "keep one of them")
    elif value is not BROKEN:
        try:
            section["token"] = read_token(value) if named == ["token"] else _from_file(value, base, env, read_token)
        except Refused as refused:
            _add(document, here, refused.what, refused.cure)
        except PydanticCustomError as error:
            for _, what, cure in parts_of(error):
                _add(document, here, what, cure)


def token_in(path: Path, env: Mapping[str, str] = os.environ) -> str:
    """Return the current token of a file with an absolute path. Raises Refused."""
    token: SecretStr = _from_file(str(path), path.parent, env, read_token)
    return token.get_secret_value()


def _add(document: Document, path: KeyPath, what: str, cure: str) -> None:
    document.flaws.append(Flaw(path, document.line_of(path), what, cure))


def _refuse_two(role: str, section: dict[str, Any], env: Mapping[str, str], document: Document) -> None:
    token = section.get("token")
    # ${GOTUNNEL_TOKEN} in the file is the token of the environment, named twice.
    same = isinstance(token, Text) and token.written.strip() == f"${{{VARIABLE}}}"
    named: list[str] = [key for key in ("token", "token_file") if key in section]
    if env.get(VARIABLE) and not same:
        named.append(Sentence("{variable} in the environment", variable=VARIABLE))
    if len(named) > 1:
        first, second, *more = named
        what = (
            Sentence("{first}, {second}, {third} all name a token", first=first, second=second, third=more[0])
            if more
            else Sentence("{first} and {second} both name a token", first=first, second=second)
        )
        _add(document, (role, "token" if "token" in section else "token_file"), what, "keep one of them")


def _from_file(value: Any, base: Path, env: Mapping[str, str], read: Callable[[str], Any]) -> Any:
    path = absolute(value, base)
    secret = isinstance(value, Text) and value.written
    name = shown(value) if secret or _looks_like_a_token(str(value)) else printable(path)
    if _looks_like_a_token(str(value)) and not os.path.lexists(path):
        raise Refused("names no file; it looks like a token itself", "write the token as token:, or name a file")
    raw = secret_file(path, MAX_BYTES, name=name, env=env)
    if len(raw) > MAX_BYTES:
        raise Refused(f"{name} is longer than {MAX_BYTES} bytes", "put one token there and nothing else")
    try:
        return read(raw.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise Refused(f"{name} is not text", "put one token there and nothing else") from None
    except PydanticCustomError as error:
        (_, what, cure) = parts_of(error)[0]
        raise Refused(Sentence("{name}: {what}", name=name, what=what), cure) from None


def _looks_like_a_token(text: str) -> bool:
    return len(text) >= 16 and "/" not in text and "." not in text

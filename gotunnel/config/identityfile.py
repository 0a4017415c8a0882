"""The file of the identities made by commands: its format, and how to read it. It holds derived keys, which grant the
same access as the tokens would, and never a token. Nothing here decides who is let in.

    {"version": 1, "clients": [{"name": "worker-1", "keys": ["…"], "allow_ports": [10250]}]}

`keys` are the K of the handshake in base64 (URL-safe, without padding), the newest last. `join` has the keys of a
one-time token: {"key": "…", "expires": 1795500000, "next": "…"}. An entry without any key is revoked, and reserves its
name. Only the owner may read the file.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import shlex
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn

from pydantic import SecretBytes, ValidationError

from gotunnel.config.clients import RightsConfig
from gotunnel.config.fields import MAX_TOKENS, ClientName
from gotunnel.config.kinds import Kind, Section, each, seconds, wrong
from gotunnel.config.secretfile import Refused
from gotunnel.errors import ConfigError, Problem, Sentence, printable

__all__ = ["CLIENTS_FILE", "FileIdentity", "JoinConfig", "load_clients", "written"]

CLIENTS_FILE = "clients.json"
"""The file's name in the state folder, unless a configuration names another file."""

VERSION = 1
KEY_BYTES = 32
MAX_BYTES = 4 * 1024 * 1024
"""Maximum size: ten thousand clients fit. Keeps a wrong path from being read in full."""
LAST_SECOND = 253_402_300_799
"""The last second of the year 9999, in Unix seconds."""


def _read_key(value: Any) -> SecretBytes:
    if isinstance(value, SecretBytes):
        value = value.get_secret_value()
    if isinstance(value, str):
        try:
            padded = value.encode("ascii") + b"=" * (-len(value) % 4)
            value = base64.b64decode(padded, altchars=b"-_", validate=True)
        except (UnicodeEncodeError, binascii.Error):
            value = None
    if not isinstance(value, bytes) or len(value) != KEY_BYTES:
        raise wrong(f"is not a key of {KEY_BYTES} bytes in base64", "make the client anew with `gotunnel client`")
    return SecretBytes(value)


def _read_keys(value: Any) -> tuple[SecretBytes, ...]:
    if not isinstance(value, (list, tuple)):
        raise wrong("is not a list", "write a list of keys")
    if len(value) > MAX_TOKENS:
        raise wrong(f"holds {len(value)} keys", f"keep {MAX_TOKENS} at most")
    return each(value, _read_key)


def _write_keys(keys: tuple[SecretBytes, ...]) -> list[str]:
    return [base64.urlsafe_b64encode(key.get_secret_value()).rstrip(b"=").decode() for key in keys]


Key = Annotated[SecretBytes, Kind("key", _read_key, lambda key: _write_keys((key,))[0])]
Keys = Annotated[tuple[SecretBytes, ...], Kind("list of keys", _read_keys, _write_keys)]
Expiry = Annotated[float, seconds(0, LAST_SECOND)]


class JoinConfig(Section):
    """A one-time token on its way to a lasting one: its key, until when it is valid (Unix seconds), and the key of the
    lasting token from when that was sent until the client has stored it."""

    key: Key
    expires: Expiry | None = None
    next: Key | None = None


class FileIdentity(RightsConfig):
    """One client of the file. `keys` takes bytes as well, the newest last; `expires` is in Unix seconds."""

    name: ClientName
    keys: Keys
    expires: Expiry | None = None
    join: JoinConfig | None = None


def load_clients(path: Path) -> tuple[FileIdentity, ...]:
    """Read the file. Raises ConfigError with all mistakes in it, also if there is no file."""
    name = printable(path, 400)
    try:
        root = json.loads(
            _text(path), object_pairs_hook=_no_key_twice, parse_constant=_no_constant
        )
    except Refused as refused:
        raise ConfigError([Problem(name, None, "", refused.what, refused.cure)]) from None
    except json.JSONDecodeError as error:
        what: str = Sentence("is not JSON: {msg}", msg=error.msg)
        raise ConfigError([Problem(name, error.lineno, "", what, "put back an older copy")]) from None
    except (RecursionError, ValueError):  # ValueError: a number with thousands of digits
        what = "is nested too deeply, or has a number that is too long"
        raise ConfigError([Problem(name, None, "", what, "put back an older copy")]) from None
    problems = [Problem(name, None, key, what, cure) for key, what, cure in _envelope(root)]
    found: list[FileIdentity] = []
    names: set[str] = set()
    for index, item in enumerate(() if problems else root["clients"]):
        key = f"clients[{index}]"
        if not isinstance(item, dict):
            problems.append(Problem(name, None, key, "is not an object", "put back an older copy"))
            continue
        try:
            identity = FileIdentity.model_validate(item)
        except ValidationError as error:
            problems += [Problem(name, None, f"{key}{at}", what, cure) for at, what, cure in _mistakes(error)]
            continue
        if identity.name in names:
            what = f"{identity.name} appears twice"
            problems.append(Problem(name, None, f"{key}.name", what, "remove one of them"))
        names.add(identity.name)
        found.append(identity)
    if problems:
        raise ConfigError(problems)
    return tuple(found)


def written(clients: Iterable[FileIdentity]) -> bytes:
    """Return the content of a file with these clients."""
    items = []
    for client in clients:
        item = client.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
        items.append({"name": item.pop("name"), **item})
    return json.dumps({"version": VERSION, "clients": items}, indent=1).encode() + b"\n"


def _text(path: Path) -> str:
    try:
        # O_NONBLOCK: opening a pipe that nobody writes to would block for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(error) from None
    try:
        _check_owner_and_mode(path, os.fstat(descriptor))
        with open(descriptor, "rb", closefd=False) as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise _unreadable(error) from None
    finally:
        os.close(descriptor)
    if len(raw) > MAX_BYTES:
        raise Refused(f"is longer than {MAX_BYTES} bytes", "name the file that `gotunnel client` writes")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("is not UTF-8 text", "put back an older copy") from None


def _check_owner_and_mode(path: Path, status: os.stat_result) -> None:
    user, quoted = os.geteuid(), shlex.quote(printable(path, 400))
    if not stat.S_ISREG(status.st_mode):
        raise Refused("is not a regular file", "name the file that `gotunnel client` writes")
    # Root may change the file of a server that runs as another user.
    if user and status.st_uid not in (0, user):
        raise Refused(f"belongs to the user {status.st_uid}", f"chown {user} {quoted}")
    if status.st_mode & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        raise Refused(f"can be read or changed by others (mode {mode:04o})", f"chmod 600 {quoted}")


def _unreadable(error: OSError) -> Refused:
    reason = (error.strerror or "error").lower()
    return Refused(Sentence(
        "cannot be read: {reason}", reason=reason
    ), "make sure that it exists and that this user may read it")


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Refused("has an object with one key twice", "put back an older copy")
    return found


def _no_constant(word: str) -> NoReturn:
    raise Refused(f"has {word} for a number", "put back an older copy")


def _envelope(root: Any) -> Iterator[tuple[str, str, str]]:
    if not isinstance(root, dict) or not isinstance(root.get("clients"), list):
        yield "", "is not a list of clients", "name the file that `gotunnel client` writes"
    elif root.get("version") != VERSION or isinstance(root["version"], bool):
        yield "version", f"is not {VERSION}", "another version of gotunnel has written it; use that one"
    else:
        for key in root.keys() - {"version", "clients"}:
            yield printable(key, 24), "is not a known key", "remove it"


def _mistakes(error: ValidationError) -> Iterator[tuple[str, str, str]]:
    for item in error.errors(include_url=False, include_input=False):
        if item["type"] == "gotunnel":
            for below, what, cure in item["ctx"]["parts"]:
                yield _key((*item["loc"], *below)), what, cure
        elif item["type"] == "extra_forbidden":
            yield _key(item["loc"]), "is not a known key", "remove it"
        elif item["type"] == "missing":
            yield _key(item["loc"]), "is missing", "make the client anew with `gotunnel client`"
        else:
            yield _key(item["loc"]), printable(item["msg"]), ""


def _key(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{printable(part, 24)}" for part in path)

"""`gotunnel plugins`: lists the plugins, where they come from, and their options. Imports all of them."""

from __future__ import annotations

import json
from importlib.metadata import Distribution, distributions
from typing import Any

import click

from gotunnel import __version__
from gotunnel.catalogue import OWN, Broken, Catalogue, Found
from gotunnel.cli.saying import say
from gotunnel.config.reference import default_of, takes_of
from gotunnel.errors import Sentence, printable

__all__ = ["list_plugins"]


def list_plugins(*, as_json: bool) -> None:
    """Print the plugins; raise SystemExit(1) if one is broken."""
    found, broken = Catalogue().all()
    owners = _owners()
    if as_json:
        listed = {"plugins": [_object(each, owners) for each in found], "broken": _broken(broken)}
        click.echo(json.dumps(listed, indent=2))
    else:
        for each in found:
            _print(each, owners)
        for one in broken:
            say(Sentence(
                "broken: {name} ({file}): {reason}", name=one.name, file=printable(one.file, 400), reason=one.reason
            ), err=True)  # fmt: skip
    if broken:
        raise SystemExit(1)


def _print(found: Found, owners: dict[str, str]) -> None:
    kind, summary = Sentence.word(found.kind), _said(found, printable(found.extension.summary, 400))
    say(Sentence("{kind} {name}: {summary}", kind=kind, name=found.name, summary=summary))
    say(Sentence("    from {module} of {owner}", module=found.module, owner=_owner(found, owners)))
    for option in _options(found):
        default = Sentence("required") if option["required"] else (
            Sentence("default {value}", value=option["default"] or Sentence("none"))
        )  # fmt: skip
        takes = Sentence.word(printable(option["takes"]))
        what = Sentence("    {name} ({takes}; {default})", name=option["name"], takes=takes, default=default)
        description = printable(option["description"], 400)
        say(Sentence.joined(": ", (what, _said(found, description) if description else "")))


def _object(found: Found, owners: dict[str, str]) -> dict[str, Any]:
    return {
        "kind": found.kind,
        "name": found.name,
        "summary": str(found.extension.summary),
        "module": found.module,
        "file": found.file,
        "distribution": _owner(found, owners),
        "options": _options(found),
    }


def _broken(broken: tuple[Broken, ...]) -> list[dict[str, str]]:
    return [{"name": each.name, "file": each.file, "reason": each.reason} for each in broken]


def _options(found: Found) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "takes": takes_of(info),
            "required": info.is_required(),
            "default": "" if info.is_required() or info.default_factory is not None else default_of(info).strip("`"),
            "description": info.description or "",
        }
        for name, info in found.extension.options.model_fields.items()
    ]


def _is_own(found: Found) -> bool:
    return found.module.rpartition(".")[2] in OWN


def _said(found: Found, text: str) -> Sentence:
    """Return a plugin's own text: gotunnel's texts are translated, those of others stay as they are."""
    return Sentence.word(text) if _is_own(found) else Sentence("{text}", text=text)


def _owner(found: Found, owners: dict[str, str]) -> str:
    if _is_own(found):
        return " ".join(("gotunnel", __version__))
    return owners.get(found.module.replace(".", "/") + ".py", "no distribution")


def _owners() -> dict[str, str]:
    """Return the distribution of each module of `gotunnel.plugins`, by the module's path below site-packages."""
    owners: dict[str, str] = {}
    for distribution in distributions():
        for path in distribution.files or ():
            if path.parts[:2] == ("gotunnel", "plugins"):
                owners.setdefault(path.as_posix(), _title(distribution))
    return owners


def _title(distribution: Distribution) -> str:
    return printable(f"{distribution.metadata['Name']} {distribution.version}")

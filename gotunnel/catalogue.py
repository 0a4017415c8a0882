"""Finds plugins by the rules of `twisted.plugin`: objects that provide `IPlugin`, in the modules of the package
`gotunnel.plugins`, to which others add modules.

`twisted.plugin.getPlugins` finds the same plugins. This module differs in three ways:

- A module that cannot be imported is reported with the reason, without a traceback.
- No `dropin.cache` is read or written, so none can be stale or lack permission.
- If one of gotunnel's own plugins has the wanted name, no module of others is imported at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from twisted.plugin import IPlugin
from twisted.python.modules import PythonModule, getModule
from zope.interface.exceptions import Invalid
from zope.interface.verify import verifyObject

from gotunnel.errors import Sentence, printable
from gotunnel.interfaces import EXTENSIONS, IExtension

__all__ = ["OWN", "Broken", "Catalogue", "Found"]

PACKAGE = "gotunnel.plugins"
OWN = frozenset({"access", "authenticators", "health", "observers", "ports", "relays", "transports"})
"""gotunnel's own modules in that package; modules of others may be in the same folder."""
LONGEST_REASON = 300


@dataclass(frozen=True, slots=True)
class Found:
    """One plugin: `kind` is a key of `interfaces.EXTENSIONS`, `module` the module that defines it, `file` that module's
    file."""

    kind: str
    extension: Any
    module: str
    file: str

    @property
    def name(self) -> str:
        """The word that chooses it in a configuration."""
        return str(self.extension.name)


@dataclass(frozen=True, slots=True)
class Broken:
    """A module, or one of its plugins, that cannot be used."""

    name: str
    file: str
    reason: str


class Catalogue:
    """All plugins on Python's path. Caches nothing: a plugin that was installed a moment ago is found."""

    def __init__(self, package: str = PACKAGE, own: frozenset[str] = OWN) -> None:
        self._package = package
        self._own = own

    def find(self, kind: str, name: str) -> Any:
        """Return the plugin of that name, which provides IExtension, or None. Modules of others are imported only if
        none of gotunnel's own has the name."""
        for modules in (self._modules(True), self._modules(False)):
            for found in self._in(modules):
                if isinstance(found, Found) and (found.kind, found.name) == (kind, name):
                    return found.extension
        return None

    def all(self) -> tuple[tuple[Found, ...], tuple[Broken, ...]]:
        """Import all modules; return the plugins, gotunnel's own first, and what is broken."""
        found: list[Found] = []
        broken: list[Broken] = []
        names: dict[tuple[str, str], Found] = {}
        for each in self._in([*self._modules(True), *self._modules(False)]):
            if isinstance(each, Broken):
                broken.append(each)
            elif (other := names.get((each.kind, each.name))) is not None:
                reason = Sentence(
                    "{module} has a plugin {each} of this kind already, which is used",
                    module=other.module, each=each.name,
                )
                broken.append(Broken(each.module, each.file, reason))
            else:
                names[each.kind, each.name] = each
                found.append(each)
        return tuple(found), tuple(broken)

    def names(self, kind: str) -> tuple[str, ...]:
        """Return the names that can be chosen for a kind."""
        return tuple(found.name for found in self.all()[0] if found.kind == kind)

    def broken(self) -> tuple[Broken, ...]:
        """Return what is broken."""
        return self.all()[1]

    def _modules(self, own: bool) -> list[PythonModule]:
        import_module(self._package)  # before this, its path is not known
        modules = getModule(self._package).iterModules()
        return sorted(
            (each for each in modules if (each.name.rpartition(".")[2] in self._own) is own), key=lambda each: each.name
        )

    def _in(self, modules: list[PythonModule]) -> Iterator[Found | Broken]:
        for module in modules:
            try:
                loaded = import_module(module.name)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a failing module must not affect others
                yield Broken(module.name, module.filePath.path, _reason(error))
                continue
            for value in list(vars(loaded).values()):
                try:
                    found = _looked_at(value, module)
                except Exception as error:  # noqa: BLE001 - as above: an object may do anything
                    found = Broken(module.name, module.filePath.path, _reason(error))
                if found is not None:
                    yield found


def _looked_at(value: Any, module: PythonModule) -> Found | Broken | None:
    if not (IPlugin.providedBy(value) and IExtension.providedBy(value)):
        return None
    try:
        verifyObject(IExtension, value)
    except Invalid as error:
        return Broken(module.name, module.filePath.path, _reason(error))
    kind = next((word for word, interface in EXTENSIONS.items() if interface is value.kind), None)
    if kind is None:
        return Broken(module.name, module.filePath.path, Sentence(
            "{value} is of a kind that is not known here", value=value.name
        ))
    return Found(kind, value, module.name, module.filePath.path)


def _reason(error: BaseException) -> str:
    said = " ".join(str(error).split())
    return printable(Sentence(
        "{name}: {said}", name=type(error).__name__, said=said
    ) if said else type(error).__name__, LONGEST_REASON)

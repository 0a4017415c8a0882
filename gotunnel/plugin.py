"""What plugins are made of. The names that a plugin's author imports from here are stable. How plugins are found is in
`gotunnel.catalogue`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from pydantic import Field
from twisted.plugin import IPlugin
from twisted.python.reflect import namedAny
from zope.interface import implementer
from zope.interface.interface import InterfaceClass

from gotunnel.config.kinds import FLAG, Section, choice, count, seconds, wrong
from gotunnel.config.paths import ReadableFile, TokenFile
from gotunnel.config.plugins import RESERVED
from gotunnel.errors import GotunnelError
from gotunnel.interfaces import EXTENSIONS, IExtension

__all__ = [
    "FLAG", "Field", "GotunnelError", "Options", "Plugin", "ReadableFile", "TokenFile", "choice", "count", "seconds",
    "wrong",
]  # fmt: skip


class Options(Section):
    """The options of a plugin: a pydantic model whose fields are the keys beside the plugin's name. An unknown key is
    refused, and an instance cannot be changed. `gotunnel plugins` shows the `description` of each field.

    Any type that pydantic knows will do; the types of this module have messages that say what would be right.
    """


@implementer(IPlugin, IExtension)
class Plugin:
    """One plugin, to be bound to a name in a module of `gotunnel.plugins`. Raises ValueError."""

    def __init__(
        self,
        kind: InterfaceClass,
        name: str,
        make: Callable[..., Any] | str,
        *,
        options: type[Section] = Options,
        summary: str = "",
        check: Callable[[Any], object] | str | bool = False,
    ) -> None:
        """`kind` is the interface of the object that `make` returns; its docstring says with which arguments `make` is
        called. `gotunnel check` calls `check` with the options; see IExtension. Both can be written as
        "package.module.name"; that module is then imported on first use. With `check=True`, `gotunnel check` calls
        `make` without a reactor; use that if `make` only reads files."""
        if kind not in EXTENSIONS.values():
            raise ValueError(f"{getattr(kind, '__name__', kind)} is no interface that a plugin can bring")
        if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", name):
            raise ValueError(f"{name!r} is no name of a plugin: write 1 to 64 of a-z 0-9 . _ -")
        if not (isinstance(options, type) and issubclass(options, Section)):
            raise ValueError(f"the options of {name} are no subclass of gotunnel.plugin.Options")
        taken = sorted(RESERVED & options.model_fields.keys()) if options is not Options else []
        if taken:
            raise ValueError(f"the options of {name} may not be called {', '.join(taken)}: such keys have a meaning")
        self.kind = kind
        self.name = name
        self.options = options
        self.summary = summary
        self._make = make
        self._check = check

    def make(self, *arguments: Any) -> Any:
        """See IExtension."""
        return _named(self._make)(*arguments)

    def check(self, options: Section) -> None:
        """See IExtension."""
        if self._check is True:
            self.make(None, options)
        elif self._check is not False:
            _named(self._check)(options)


def _named(function: Callable[..., Any] | str) -> Callable[..., Any]:
    found: Callable[..., Any] = namedAny(function) if isinstance(function, str) else function
    return found

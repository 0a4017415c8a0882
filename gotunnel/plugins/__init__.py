"""The plugins: one module for each group of them, gotunnel's own and those of others. To add some, put a folder
`gotunnel/plugins` without an `__init__.py` anywhere on Python's path; see docs/en/plugins.md."""

from __future__ import annotations

from twisted.plugin import pluginPackagePaths

__all__: list[str] = []
__path__.extend(pluginPackagePaths(__name__))

"""The reference is made from the models, so it can be neither incomplete nor wrong about a default."""

from __future__ import annotations

import json

from gotunnel.config.kinds import seconds
from gotunnel.config.reference import schema, table
from gotunnel.config.tree import walk
from tests.config.files import CLIENT, SERVER, FileTestCase


class TableTests(FileTestCase):
    """Rows of Markdown."""

    def cells(self) -> dict[str, list[str]]:
        """Return the cells of each row by key."""
        rows = [row.strip("| ").split(" | ") for row in table()[2:]]
        return {row[0].strip("`"): row for row in rows}

    def test_every_key(self) -> None:
        """Every key has a row and words of its own; every row has as many cells as the head."""
        rows = table()
        self.assertEqual(len(rows) - 2, len(list(walk())) - 2)
        for row in rows:
            self.assertEqual(row.replace("\\|", "").count("|"), 5, row)
        for path, info in walk():
            self.assertTrue(info.description, path)

    def test_defaults(self) -> None:
        """Defaults are written as a file writes them."""
        cells = self.cells()
        for key, default in (
            ("server.addr", "`0.0.0.0:17000`"),
            ("server.heartbeat", "`10`"),
            ("server.allow_ports", '`["1024-65535"]`'),
            ("server.allow_plain_legs", "`false`"),
            ("server.tls.mode", "`required`"),
            ("server.limits.legs", "`4096`"),
            ("client.name", "required"),
            ("client.mappings[].remote", "required"),
            ("client.mappings[].encrypt", "`true`"),
            ("client.mappings[].health.interval", "`10`"),
            ("client.mappings[].health.tls.verify", "`true`"),
        ):
            self.assertEqual(cells[key][2], default, key)

    def test_takes(self) -> None:
        """What a key takes is said in words, for optional keys as well."""
        cells = self.cells()
        self.assertEqual(cells["server.log_level"][1], "debug, info, warn, error")
        self.assertEqual(cells["client.heartbeat_interval"][1], "seconds, 0.1 to 3600")
        self.assertEqual(cells["server.tls.cert"][1], "path of a file")
        self.assertEqual(cells["client.mappings[].health"][1], "tcp, http, false or group")
        self.assertEqual(cells["client.mappings[].health.tls"][1], "true, false or group")
        self.assertEqual((cells["server.tls"][1], cells["client.mappings"][1]), ("group", "list of groups"))
        self.assertEqual((cells["server.egress"][1], cells["client.egress"][1]), ("group", "group"))
        self.assertIn("server.listeners[].plugin", cells)

    def test_defaults_load(self) -> None:
        """Every default of the table, written into a file, gives the very same configuration."""
        for role, text in (("server", SERVER), ("client", CLIENT + "  local_ports: 22\n")):
            plain = getattr(self.load(text), role)
            groups: dict[str, dict[str, str]] = {}
            for key, row in self.cells().items():
                parts = key.split(".")
                if parts[0] == role and "[]" not in key and row[2].startswith("`"):
                    groups.setdefault(".".join(parts[1:-1]), {})[parts[-1]] = row[2].strip("`")
            # A group that must be complete is absent by default.
            for key, row in self.cells().items():
                if row[2] == "required":
                    groups.pop(".".join(key.split(".")[1:-1]) or "nothing", None)
            lines = [
                f"  {key}: {json.dumps(value) if '[' not in value else value}"
                for key, value in groups.pop("").items()
            ]
            for group, keys in groups.items():
                values = {key: json.loads(value) if value.startswith("[") else value for key, value in keys.items()}
                lines.append(f"  {group}: {json.dumps(values)}")
            self.assertGreater(len(lines), 3)
            self.assertEqual(getattr(self.load(text + "\n".join(lines)), role), plain)


class KindTests(FileTestCase):
    """What a key takes."""

    def test_digits(self) -> None:
        """A long time stands in all its digits, as one would write it."""
        self.assertEqual(seconds(0.1, 86_400 * 365).takes, "seconds, 0.1 to 31536000")


class SchemaTests(FileTestCase):
    """The JSON Schema for editors."""

    def test_schema(self) -> None:
        """It is JSON, knows every key, and refuses others."""
        text = json.dumps(schema())
        for path, _ in walk():
            self.assertIn(f'"{path[-1]}"', text)
        self.assertIs(schema()["additionalProperties"], False)
        health = schema()["$defs"]["MappingConfig"]["properties"]["health"]["anyOf"]
        self.assertEqual(health[0], {"type": ["string", "boolean"]})
        self.assertIn("#/$defs/HealthConfig", json.dumps(health[1]))
        self.assertEqual(
            schema()["$defs"]["ServerConfig"]["properties"]["log_level"]["enum"],
            ["debug", "info", "warn", "error"],
        )

"""From two sources to one table: what a client leaves out is the server's, and what it names is instead of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.config.identityfile import FileIdentity, written
from gotunnel.config.model import ServerConfig
from gotunnel.core.identities import Identity
from gotunnel.errors import ConfigError, PortUnavailable
from gotunnel.server.credentials import Credentials, clients_path, filed_clients
from gotunnel.wire.handshake import derive_key
from tests.server.world import OTHER_TOKEN, TOKEN, identity

OWN = frozenset({17000, 17080})


def credentials(*clients: dict[str, Any], **keys: Any) -> Credentials:
    """Return those of a configuration."""
    return Credentials(ServerConfig.model_validate({"clients": clients, **keys}), OWN)


class TableTests(SynchronousTestCase):
    """The table that is made."""

    def of(self, made: Credentials, name: str, *filed: FileIdentity) -> Identity:
        """Return an identity of it."""
        found = made.table(filed).identity(name)
        assert found is not None
        return found

    def test_defaults(self) -> None:
        """Whatever is left out is what the server says, in both places, for the shared token too."""
        keys: dict[str, Any] = {
            "allow_ports": [443],
            "allow_dial": ["10.0.0.1:1"],
            "allow_groups": ["api*"],
            "limits": {"mappings": 3, "legs": 4, "visitors": 5, "pending": 6},
        }
        made = credentials({"name": "a", "token": TOKEN}, token=OTHER_TOKEN, **keys)
        shared = made.table().rights_for("anybody", 0)
        assert shared is not None
        for rights in (self.of(made, "a").rights, self.of(made, "b", identity("b", TOKEN)).rights, shared):
            self.assertEqual((str(rights.allow_ports), rights.binds, rights.reserved), ("443", None, OWN))
            self.assertEqual(
                (rights.max_mappings, rights.max_legs, rights.max_visitors, rights.max_pending), (3, 4, 5, 6)
            )
            self.assertTrue(rights.allow_dial.allows("10.0.0.1", 1))
            rights.check_group("apiserver")
            self.assertEqual(self.assertRaises(PortUnavailable, rights.check_group, "web").code, "acl_denied")

    def test_own(self) -> None:
        """Whatever it names is instead of the server's, wider or narrower; the server's own ports are nobody's."""
        more: dict[str, Any] = {
            "allow_ports": ["1-65535"],
            "allow_bind": ["0:0::1", "127.0.0.1"],
            "allow_dial": [],
            "allow_groups": ["web"],
            "limits": {"mappings": 30, "legs": 40, "visitors": 50, "pending": 60},
        }
        made = credentials(
            {"name": "a", "token": TOKEN, **more}, allow_ports=[443], limits={"mappings": 3}, allow_dial=["10.0.0.1:1"],
            allow_groups=["api*"],
        )
        for rights in (self.of(made, "a").rights, self.of(made, "b", identity("b", TOKEN, **more)).rights):
            rights.check_port("::1", 22)
            rights.check_port("localhost", 443)
            self.assertEqual(self.assertRaises(PortUnavailable, rights.check_port, "0.0.0.0", 22).code, "acl_denied")
            for port in OWN:
                self.assertEqual(self.assertRaises(PortUnavailable, rights.check_port, "::1", port).code, "reserved")
            self.assertEqual(
                (rights.max_mappings, rights.max_legs, rights.max_visitors, rights.max_pending), (30, 40, 50, 60)
            )
            self.assertFalse(rights.allow_dial.allows("10.0.0.1", 1))
            rights.check_group("web")
            self.assertEqual(self.assertRaises(PortUnavailable, rights.check_group, "apiserver").code, "acl_denied")

    def test_keys(self) -> None:
        """Tokens become the keys of the handshake for that name; keys of the file stay what they are."""
        made = credentials({"name": "a", "token": [TOKEN, OTHER_TOKEN], "disabled": True})
        found = self.of(made, "a")
        self.assertEqual(found.keys, (derive_key(TOKEN, "a"), derive_key(OTHER_TOKEN, "a")))
        self.assertEqual((found.disabled, found.expires, found.filed), (True, None, False))
        found = self.of(made, "b", identity("b", TOKEN, expires=5.0))
        self.assertEqual((found.keys, found.expires, found.filed), ((derive_key(TOKEN, "b"),), 5.0, True))

    def test_same_rights_for_the_same_text(self) -> None:
        """Rights of the configuration are one object from table to table: who is asked anew can see that nothing has
        changed."""
        made = credentials({"name": "a", "token": TOKEN}, token=OTHER_TOKEN)
        for name in ("a", "anybody"):
            self.assertIs(made.table().rights_for(name, 0), made.table([identity("b", TOKEN)]).rights_for(name, 0))

    def test_name_in_both(self) -> None:
        """A client stands in one of the two places."""
        made = credentials({"name": "a", "token": TOKEN, "disabled": True})
        error = self.assertRaises(ConfigError, made.table, [identity("a", OTHER_TOKEN)], Path("x.json"))
        self.assertEqual(
            str(error), "x.json: the client a is listed here and under server.clients too; remove one of the two"
        )


class FileTests(SynchronousTestCase):
    """Where the file is, and what of it is refused before a server starts."""

    def test_path(self) -> None:
        """The one that is named, else the one of the state folder, which need not be there."""
        state = Path(self.mktemp()).absolute()
        state.mkdir()
        config = ServerConfig.model_validate({"token": TOKEN})
        self.assertEqual((clients_path(config, state), filed_clients(config, state)), (state / "clients.json", ()))
        (state / "clients.json").write_bytes(written([identity("a", TOKEN)]))
        (state / "clients.json").chmod(0o600)
        self.assertEqual([client.name for client in filed_clients(config, state)], ["a"])
        clash = ServerConfig.model_validate({"clients": [{"name": "a", "token": TOKEN}]})
        self.assertRaises(ConfigError, filed_clients, clash, state)
        named = ServerConfig.model_validate({"clients_file": str(state / "other.json")})
        self.assertEqual((clients_path(named, state), filed_clients(named, state)), (state / "other.json", ()))

"""`group` of a mapping, `allow_groups` of a server and of its clients."""

from __future__ import annotations

from gotunnel.config.explain import explain
from tests.config.files import CLIENT, SERVER, TOKEN, ClientTestCase


class GroupTests(ClientTestCase):
    """What may be written, and what is said of it."""

    def test_mapping(self) -> None:
        """A group is a name; a mapping has none unless it says so."""
        first, second = self.client("mappings: [{local: 1, remote: 1, group: api-1}, {local: 2, remote: 2}]").mappings
        self.assertEqual((first.group, second.group), ("api-1", None))
        for item, words in (
            ("{local: 1, remote: 1, group: 'a b'}", "'a b' is not the name of a group"),
            ("{local: 1, remote: 1, group: 'api*'}", "'api*' is not the name of a group"),
            ("{local: 1, remote: 1, group: 17}", "quote it"),
            ("{local: 1, remote: 1, group: [a]}", "a list is not the name of a group"),
            ("{local: 1, public: false, clients: [a], group: api}", "is for the visitors of a port"),
        ):
            self.assertIn(words, str(self.problem(CLIENT + f"  mappings: [{item}]\n")), item)

    def test_rights(self) -> None:
        """No group is allowed unless names or patterns are given, for all clients or for one."""
        found, plain = (self.load(SERVER + more).server for more in ("  allow_groups: [api, 'web-*']\n", ""))
        assert found is not None and plain is not None
        self.assertEqual((found.allow_groups, plain.allow_groups), (("api", "web-*"), ()))
        own = f"  clients: [{{name: a, token: {TOKEN[::-1]}, allow_groups: api}}, {{name: b, token: {TOKEN[1:]}0}}]\n"
        server = self.load(SERVER + own).server
        assert server is not None
        self.assertEqual([client.allow_groups for client in server.clients], [("api",), None])
        problem = self.problem(SERVER + "  allow_groups: [api, 'a/b']\n")
        self.assertEqual(problem.key, "server.allow_groups[1]")
        self.assertIn("is not the name of a group, nor a pattern of names", str(problem))

    def test_explained(self) -> None:
        """`gotunnel check` says which ports are shared, and who may share them."""
        text = f"  allow_groups: [api]\n  clients: [{{name: a, token: {TOKEN[::-1]}, allow_groups: [web]}}]\n"
        lines = explain(self.load(SERVER + text))
        self.assertIn("server: lets several clients publish one port as a group: api", lines)
        self.assertEqual(len([line for line in lines if "may publish in the groups web" in line]), 1)
        lines = explain(self.load(CLIENT + "  mappings: [{name: api, local: 6443, remote: 6443, group: api}]\n"))
        shared = "publishes 127.0.0.1:6443 on port 6443 of the server as 'api', together with others of the group api"
        self.assertIn(shared, lines[2])

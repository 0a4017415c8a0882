"""Every plugin that gotunnel has, found by its name, made as who uses it makes it, and held against its interface: what
joins them and is not in this table fails here."""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec
from typing import Any

from twisted.internet import reactor
from zope.interface.verify import verifyObject

from gotunnel.address import HostPort
from gotunnel.catalogue import Catalogue
from gotunnel.config.identityfile import FileIdentity, written
from gotunnel.interfaces import EXTENSIONS
from gotunnel.net.descriptors import Descriptors
from gotunnel.net.fast.compiled import NATIVE
from tests.certificates import Authority
from tests.config.files import TOKEN, FileTestCase


class ContractTests(FileTestCase):
    """No test of what they do: each has its own."""

    def options(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Return what each plugin is told here."""
        secret = str(self.write(TOKEN, "token"))
        more = str(self.write(written([FileIdentity(name="a", keys=())]), "more.json"))
        line = f"a:pbkdf2_sha256$600000$00112233445566778899aabbccddeeff${'0' * 64}\n"
        passwords = str(self.write(line, "passwords"))
        url = "https://127.0.0.1:9/"
        return {
            ("access", "networks"): {"allow": "10.0.0.0/8"},
            ("access", "webhook"): {"url": url},
            ("authenticator", "htpasswd"): {"file": passwords},
            ("authenticator", "tokenreview"): {"secret_file": secret, "ca": str(Authority(self.folder).file)},
            ("authenticator", "webhook"): {"url": url},
            ("health", "command"): {"command": "true"},
            ("health", "http"): {},
            ("health", "tcp"): {},
            ("keys", "identities"): {"file": more},
            ("keys", "token"): {"token_file": secret},
            ("listener", "websocket"): {"listen": "127.0.0.1:0"},
            ("observer", "log"): {"file": str(self.folder / "visitors")},
            ("observer", "metrics"): {},
            ("observer", "usage"): {"file": str(self.folder / "usage.db")},
            ("ports", "any"): {},
            ("ports", "sticky"): {},
            ("relay", "fast"): {},
            ("relay", "native"): {},
            ("relay", "portable"): {},
            ("transport", "tcp"): {},
            ("transport", "websocket"): {},
        }

    def test_all(self) -> None:
        """Each keeps its interface, with options that its own model has taken."""
        descriptors = Descriptors(reactor)
        more: dict[str, tuple[Any, ...]] = {
            "listener": (descriptors,), "observer": ("server",), "relay": (1.0, descriptors),
        }  # fmt: skip
        told, (found, broken) = self.options(), Catalogue().all()
        self.assertEqual(broken, ())
        self.assertEqual({(each.kind, each.name) for each in found}, set(told))
        for each in found:
            if each.name == "fast" and sys.platform != "linux":
                continue
            if each.name == "native" and not find_spec(NATIVE):
                continue
            options = each.extension.options.model_validate(told[each.kind, each.name])
            before: tuple[Any, ...] = (reactor,)
            behind = more.get(each.kind, ())
            if each.kind == "health":
                before, behind = (reactor, HostPort("127.0.0.1", 9)), (1.0,)
            made = each.extension.make(*before, options, *behind)
            self.assertTrue(verifyObject(EXTENSIONS[each.kind], made), f"{each.kind} {each.name}")
            if callable(stop := getattr(made, "stop", None)):
                stop()

    def test_words(self) -> None:
        """The docstring of each interface says how it is made, and each of its methods has one of its own."""
        for kind, interface in EXTENSIONS.items():
            self.assertIn("Made with `(reactor, ", re.sub(r"\s+", " ", interface.__doc__ or ""), kind)
            for name in interface.names():
                self.assertGreater(len(interface[name].getDoc()), 15, f"{interface.__name__}.{name}")

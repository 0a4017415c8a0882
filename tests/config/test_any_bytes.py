"""Whatever is in a file, loading it ends with a configuration or with lines for an operator."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gotunnel.config.explain import explain
from gotunnel.config.load import load
from gotunnel.config.tree import walk
from gotunnel.errors import ConfigError
from tests.config.files import CLIENT, SERVER, TOKEN, FileTestCase

KEYS = sorted({path[-1] for path, _ in walk()})
WORDS = st.sampled_from(
    [
        *KEYS,
        "22:22",
        "no",
        "off",
        "1e5",
        "${A}",
        "$${",
        "*a",
        "&a 1",
        "<<",
        "unix:/x",
        "0.0.0.0:1",
        "a:1",
        TOKEN,
        "-",
        "",
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | WORDS
    | st.dates()
    | st.binary(max_size=9)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | SCALARS, inner, max_size=4)
    ),
    max_leaves=8,
)
PIECES = st.lists(
    st.sampled_from(
        [
            *"\t\n :-[]{}#&*!|>'\"%@`,\\x",
            "  ",
            "\n  ",
            ": ",
            "\n- ",
            "\\U",
            "\\uD8",
            "---\n",
            "%YAML 1",
            "\ufeff",
        ]
    )
    | WORDS
    | st.text(max_size=3)
)


class AnyBytesTests(FileTestCase):
    """No traceback, no token, one line for each problem."""

    def check(self, raw: bytes) -> None:
        """Load the bytes; whatever comes of it must be fit to print."""
        path = self.write(raw)
        try:
            lines = explain(load(path, {"A": TOKEN}))
        except ConfigError as error:
            self.assertTrue(error.problems)
            lines = [str(problem) for problem in error.problems]
            for problem in error.problems:
                self.assertTrue(problem.wrong)
        for line in lines:
            self.assertTrue(line.isprintable(), repr(line))

    @settings(
        max_examples=100,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        derandomize=True,
    )
    @given(raw=st.binary(max_size=200))
    def test_bytes(self, raw: bytes) -> None:
        """Bytes of all kinds."""
        self.check(raw)

    @settings(
        max_examples=150,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        derandomize=True,
    )
    @given(pieces=PIECES, prefix=st.sampled_from(["", SERVER, CLIENT + "  local_ports: 1\n"]))
    def test_pieces_of_yaml(self, pieces: list[str], prefix: str) -> None:
        """What YAML is made of, in any order, alone or behind a good section."""
        self.check(
            (prefix + "  tls: " * bool(prefix and len(pieces) % 2) + "".join(pieces)).encode(
                "utf-8", "surrogatepass"
            )
        )

    @settings(
        max_examples=150,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        derandomize=True,
    )
    @given(
        tree=VALUES,
        section=st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, VALUES)),
        role=st.sampled_from(["server", "client"]),
    )
    def test_any_values(self, tree: Any, section: dict[str, Any], role: str) -> None:
        """Every key with every kind of value, as PyYAML itself writes them."""
        self.check(yaml.dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass"))
        self.check(yaml.dump({role: section}).encode("utf-8", "surrogatepass"))

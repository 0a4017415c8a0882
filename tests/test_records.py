"""Records are what `dataclass(frozen=True, slots=True)` makes, in all that anybody sees of them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, replace
from typing import Any, Generic, TypeVar

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.records import record

T = TypeVar("T")

Make = Callable[[Any], Any]


def shapes(make: Make) -> list[tuple[Any, list[tuple[tuple[Any, ...], dict[str, Any]]]]]:
    """Return classes that `make` decorates, and arguments for each, the right and the wrong ones."""

    @make
    class Nothing:
        """No field."""

    @make
    class One:
        """One field."""

        value: object

    @make
    class Many:
        """Defaults, makers, a secret, and what no call can give."""

        host: str
        port: int = 17000
        names: list[str] = field(default_factory=list)
        key: bytes = field(default=b"", repr=False)
        aside: int = field(default=0, compare=False)
        held: bool = field(init=False, default=True)
        seen: list[int] = field(init=False, default_factory=list)

    @make
    class Kept(Generic[T]):
        """A class with words and a judgement of its own."""

        what: T

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Kept)

        def __repr__(self) -> str:
            return "kept"

    @make
    class Checked:
        """Looks at itself."""

        low: int
        high: int

        def __post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError("the wrong way round")

    @make
    class Bare:
        value: int

    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((), {}), (("a",), {}), (([1],), {}), ((1, 2), {}), ((2, 1), {}), (("a", 1, ["b"], b"k", 3), {}),
        (("a",), {"aside": 5}), (("a",), {"key": b"other"}), (("a",), {"port": 1}), ((), {"value": float("nan")}),
        ((), {"what": 3}), (("a",), {"held": False}), ((), {"nobody": 1}), ((1, 2, 3, 4, 5, 6, 7), {}),
    ]  # fmt: skip
    return [(cls, calls) for cls in (Nothing, One, Many, Kept, Checked, Bare)]


def tried(call: Callable[..., Any], *words: Any, **keys: Any) -> Any:
    """Return what a call returns, or how it fails."""
    try:
        return call(*words, **keys)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        return type(error), str(error)


class RecordTests(SynchronousTestCase):
    """`record` beside what it stands for."""

    def test_same(self) -> None:
        """Made, shown, compared, hashed, copied, changed and taken apart they are the same; so are their mistakes."""
        ours, theirs = shapes(record), shapes(dataclass(frozen=True, slots=True))
        for (our, calls), (their, _) in zip(ours, theirs, strict=True):
            made = [[tried(cls, *words, **keys) for words, keys in calls] for cls in (our, their)]
            for mine, others in zip(*made, strict=True):
                is_made = isinstance(mine, our)
                self.assertEqual(is_made, isinstance(others, their), (mine, others))
                if not is_made:
                    self.assertEqual(mine, others)
                    continue
                for look in (repr, asdict, copy.copy, copy.deepcopy, replace):
                    self.assertEqual(repr(tried(look, mine)), repr(tried(look, others)))
                self.assertEqual(isinstance(tried(hash, mine), int), isinstance(tried(hash, others), int))
                self.assertIs(mine == object(), False)
                for name in ("host", "value", "new"):
                    self.assertRaises(FrozenInstanceError, setattr, mine, name, 1)
                    self.assertRaises(FrozenInstanceError, delattr, mine, name)
            equal = [
                [(one == other, tried(hash, one) == tried(hash, other)) for one in row for other in row]
                for row in made
            ]
            self.assertEqual(*equal)
            self.assertEqual([each.name for each in fields(our)], [each.name for each in fields(their)])
            self.assertEqual(our.__match_args__, their.__match_args__)
            self.assertEqual(our.__slots__, their.__slots__)

    def test_classes_differ(self) -> None:
        """Two classes with the same fields are never equal."""

        @record
        class Here:
            """One."""

            value: int

        @record
        class There:
            """Another."""

            value: int

        self.assertNotEqual(Here(1), There(1))
        self.assertEqual({Here(1): "here", There(1): "there"}[Here(1)], "here")

"""The Python interface of the extension. For descriptions see the callers, and native/native.h."""

from collections.abc import Callable
from socket import SocketType
from typing import Any, TypeVar

from gotunnel.core.stream import StreamEnd
from gotunnel.net.descriptors import Gate
from gotunnel.net.fast.listener import Listener
from gotunnel.net.fast.local import FastLocal
from gotunnel.net.fast.tools import Tools
from gotunnel.wire.openform import Fields

L = TypeVar("L", bound=FastLocal)

sources: str

class Pump:
    keeps_time: bool
    must_return: bool
    def add(self, fd: int, mask: int, handler: Any) -> None: ...
    def set(self, fd: int, mask: int) -> None: ...
    def remove(self, fd: int) -> None: ...
    def run(self, timeout: float, foreign: int) -> bool: ...
    def serve(self, timeout: float, foreign: int) -> bool: ...
    def add_foreign(self, fd: int) -> None: ...
    def handler_of(self, fd: int) -> Any: ...
    def fileno(self) -> int: ...
    def close(self) -> None: ...

class Deadlines:
    def stop(self, key: Any) -> None: ...

class Local:
    def __init__(self, sock: SocketType, address: str, host: str, tools: Tools, others: set[FastLocal]) -> None: ...

class Tally:
    sent: int
    received: int
    def end(self, *, opener: bool) -> StreamEnd: ...

class Leg:
    def equip(self, tools: Tools, bulk_read: int, landing: int, bulk: int) -> None: ...
    def seal_with(self, session: Any, incoming: Any, outgoing: Any) -> None: ...

def learn(rules: dict[str, Any]) -> None: ...
def welcome(
    gate: Gate,
    on_visitor: Callable[[FastLocal], None],
    kind: type[FastLocal],
    tools: Tools,
    others: set[FastLocal],
    listener: Listener,
    events: int,
    /,
) -> None: ...
def dial(
    host: str, port: int, address: str, kind: type[L], tools: Tools, others: set[FastLocal], ceiling: float,
    control: str,
) -> L | tuple[SocketType | None, int] | None: ...
def write_open(
    conn: str, src: str, mapping: str | None, n: int | None, mac: bytes | None, dst: str | None, /
) -> bytes | None: ...
def read_open(body: bytes, /) -> Fields | None: ...
def prove_open(
    begun: Any, ended: Any, n: int, kind: str, name: str, conn: str, src: str, dst: str | None, /
) -> bytes: ...

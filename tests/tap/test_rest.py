"""What a role that runs has in memory, and what it gave back."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from gotunnel.tap.memory import heap, untouched
from tests.processes import ROOT

TOKEN = "4b1d9c7e2f6a8035d1e4c7b90a3f5e68"

SECTIONS = {
    "server": f'server: {{addr: "127.0.0.1:0", token: {TOKEN}}}',
    "client": f'client: {{name: a, token: {TOKEN}, server_addr: "127.0.0.1:1", mappings: [{{local: 80, remote: 80}}]}}',
}

BOTH = {
    "gotunnel.admin.api", "gotunnel.admin.guard", "gotunnel.admin.logins", "gotunnel.admin.web",
    "gotunnel.config.changes", "gotunnel.config.difference", "gotunnel.config.effects", "gotunnel.config.file",
    "gotunnel.config.judgeoptions", "gotunnel.config.observeroptions", "gotunnel.i18n.columns",
    "gotunnel.i18n.sentences", "gotunnel.i18n.system", "gotunnel.net.egress", "gotunnel.net.leg", "gotunnel.net.local",
    "gotunnel.net.raw", "gotunnel.net.relay", "gotunnel.tap.rolehelp", "click", "difflib", "prometheus_client", "rich",
    "sqlite3", "twisted.web",
}  # fmt: skip
"""What is for who asks, for who changes the configuration or its mistakes, and for what this one does not name."""

UNUSED = {
    "server": BOTH | {
        "gotunnel.config.client", "gotunnel.config.clienttls", "gotunnel.config.forward", "gotunnel.config.health",
        "gotunnel.config.keyoptions", "gotunnel.config.mapping", "gotunnel.config.portoptions",
        "gotunnel.server.access", "gotunnel.server.changing", "gotunnel.server.direct", "gotunnel.server.egress",
        "twisted.internet.endpoints",
    },
    "client": BOTH | {
        "gotunnel.client.checks", "gotunnel.client.datagrams", "gotunnel.client.forwardports",
        "gotunnel.client.forwardprobe", "gotunnel.client.tlsprobe", "gotunnel.config.clients",
        "gotunnel.config.identityfile", "gotunnel.config.limits", "gotunnel.config.server", "gotunnel.wire.v1",
        "twisted.internet.endpoints",
    },
}  # fmt: skip

RUN = """
import gc, sys
from gotunnel.cli import roles
from gotunnel.cli.foreground import run
import gotunnel.cli.foreground as foreground

def started(service, reactor):
    reactor.callWhenRunning(lambda: (print({shown}), reactor.stop()))
    run(service, reactor)

foreground.run = started
roles.{role}(["--config", {config!r}, "--state", {state!r}])
"""

HOLE = """
import os
{begins}

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

held = [bytearray(1 << 14) for _ in range(2000)]
last = bytearray(1 << 14)  # above the hole, or it would go back of itself
before = resident()
held.clear()
{ends}
print(before - resident())
"""

AT_START = {"begins": "from gotunnel.tap.memory import give_back", "ends": "give_back()"}
WHILE_IT_RUNS = {
    "begins": """
from twisted.application.service import Service
from twisted.internet.task import Clock
from gotunnel.tap.memory import heap
from gotunnel.tap.trimming import PERIOD, Trimming

clock = Clock()
Trimming(Service(), clock, *heap()).startService()
clock.advance(PERIOD)
""",
    "ends": "clock.advance(PERIOD)",
}

PAGES = """
import os
from gotunnel.tap import memory
import cryptography.x509, pydantic, twisted.internet.ssl

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def addresses_of_their_own():
    # What the loader wrote into libraries, which is in no file: a page of it that is gone ends the process.
    with open("/proc/self/smaps", "rb") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith(b"Anonymous:"))

before, own = resident(), addresses_of_their_own()
memory.give_back()
print(before - resident(), own - addresses_of_their_own())

from cryptography.hazmat.primitives.asymmetric import ec
key = ec.generate_private_key(ec.SECP256R1())
class Model(pydantic.BaseModel):
    port: int
assert Model(port="1").port == 1
"""

SMAPS = b"""\
10000-14000 r--p 00000000 fe:00 247260                     /usr/lib/one.so
Size:                 16 kB
Rss:                  16 kB
Anonymous:             0 kB
Swap:                  0 kB
14000-38000 r-xp 00004000 fe:00 247260                     /usr/lib/one.so
Anonymous:             0 kB
Swap:                  0 kB
38000-39000 r--p 00028000 fe:00 247260                     /usr/lib/one.so
Anonymous:             4 kB
Swap:                  0 kB
39000-3a000 r--p 00029000 fe:00 247260                     /usr/lib/one.so
Anonymous:             0 kB
Swap:                  4 kB
3a000-3b000 rw-p 0002a000 fe:00 247260                     /usr/lib/one.so
Anonymous:             0 kB
Swap:                  0 kB
3b000-3c000 r--s 00000000 fe:00 247261                     /var/lib/shared
Anonymous:             0 kB
Swap:                  0 kB
3c000-3d000 r--p 00000000 00:00 0
Anonymous:             0 kB
Swap:                  0 kB
3d000-3f000 r-xp 00000000 00:00 0                          [vdso]
Anonymous:             0 kB
Swap:                  0 kB
40000-41000 r--p 00000000 fe:00 247262                     /usr/lib/old kernel.so
Anonymous:             0 kB
"""


class RestTests(SynchronousTestCase):
    """Processes of their own: this one has loaded everything."""

    def test_unused(self) -> None:
        """A role that has started, with nothing special in its file, holds nothing of what it does not use; and what
        it does hold Python's collector will not look at again. It goes on giving memory back."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        for role, section in SECTIONS.items():
            config = folder / f"{role}.yaml"
            config.write_text(section)
            config.chmod(0o600)
            shown = "*sys.modules, type(service._inner._inner).__name__, gc.get_freeze_count(), len(gc.get_objects())"
            script = RUN.format(role=role, config=str(config), state=str(folder / role), shown=shown)
            found = subprocess.run(
                [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
            )
            *modules, inside, kept, new = found.stdout.split()
            loaded = set(modules)
            self.assertIn(f"gotunnel.{role}.service", loaded)
            self.assertEqual(sorted(loaded & UNUSED[role]), [], role)
            self.assertGreater(int(kept), 20 * int(new), role)
            self.assertEqual(inside == "Trimming", heap() is not None, role)

    def test_given_back(self) -> None:
        """What is free inside of the heap goes back to the system, when a role has started and when a crowd has
        gone."""
        if platform.libc_ver()[0] != "glibc":
            raise SkipTest("only glibc gives it back")
        for when in (AT_START, WHILE_IT_RUNS)[: 1 if heap() is None else 2]:
            script = HOLE.format(**when)
            found = subprocess.run(
                [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
            )
            self.assertGreater(int(found.stdout), 16 << 20, when)

    def test_files(self) -> None:
        """Pages that stand in a file just so go back, and nothing that was written goes with them."""
        if platform.system() != "Linux":
            raise SkipTest("only Linux says what is where")
        found = subprocess.run(
            [sys.executable, "-c", PAGES], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
        )
        given_back, written = map(int, found.stdout.split())
        self.assertGreater(given_back, 4 << 20)
        self.assertLess(written, 1024)  # KiB; the heap has some to give back

    def test_untouched(self) -> None:
        """Those are mappings of a file, private, that may not be written and hold no page of their own, not even one
        that is swapped out."""
        self.assertEqual(list(untouched(SMAPS.splitlines(keepends=True))), [(0x10000, 0x4000), (0x14000, 0x24000)])

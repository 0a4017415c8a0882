"""Other people's Twisted servers listen on a public port by one string: Klein, Conch, and WebSockets of autobahn, which
Crossbar is made of. Those who visit are curl, OpenSSH and the package `websockets`."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from twisted.trial.unittest import SkipTest

from tests.e2e.harness import TunnelTestCase, need
from tests.processes import DEADLINE

KLEIN = """
import hashlib, sys
from klein import Klein
from twisted.internet import reactor
from twisted.internet.task import deferLater

app = Klein()

@app.route("/who")
def who(request):
    return f"{request.getClientAddress().host} at {request.getHost().host}"

@app.route("/later/<int:number>")
async def later(request, number):
    return await deferLater(reactor, 0.01, str, number + 1)

@app.route("/digest", methods=["POST"])
def digest(request):
    return hashlib.sha256(request.content.read()).hexdigest()

app.run(endpoint_description=sys.argv[1], logFile=open("klein.access", "w"))
"""

CONCH = """
import hashlib, struct, sys
from twisted.conch.avatar import ConchUser
from twisted.conch.checkers import InMemorySSHKeyDB, SSHPublicKeyChecker
from twisted.conch.interfaces import ISession
from twisted.conch.ssh.factory import SSHFactory
from twisted.conch.ssh.keys import Key
from twisted.conch.ssh.session import SSHSession, wrapProtocol
from twisted.cred.portal import Portal
from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Protocol
from twisted.python.components import registerAdapter
from zope.interface import implementer

class Command(Protocol):
    def __init__(self, command):
        self.command = command
        self.digest = hashlib.sha256()

    def dataReceived(self, data):
        self.digest.update(data)

    def ended(self):
        self.end(self.digest.hexdigest().encode(), 0)

    def end(self, words, status):
        self.transport.write(words)
        session = self.transport.session
        session.conn.sendRequest(session, b"exit-status", struct.pack(">L", status))
        self.transport.loseConnection()

@implementer(ISession)
class Session:
    def __init__(self, avatar):
        pass

    def execCommand(self, process, command):
        self.command = Command(command)
        self.command.makeConnection(process)
        process.makeConnection(wrapProtocol(self.command))
        if command == b"who":
            transport = process.session.conn.transport.transport
            self.command.end(f"{transport.getPeer().host} at {transport.getHost().host}".encode(), 7)

    def eofReceived(self):
        if self.command.command != b"who":
            self.command.ended()

    def closed(self):
        pass

class User(ConchUser):
    def __init__(self):
        super().__init__()
        self.channelLookup[b"session"] = SSHSession

class Realm:
    def requestAvatar(self, avatar, mind, *interfaces):
        return interfaces[0], User(), lambda: None

registerAdapter(Session, User, ISession)
user, host = Key.fromFile("user.pub"), Key.fromFile("host")
factory = SSHFactory()
factory.publicKeys, factory.privateKeys = {host.sshType(): host.public()}, {host.sshType(): host}
factory.portal = Portal(Realm(), [SSHPublicKeyChecker(InMemorySSHKeyDB({b"guest": [user]}))])
opening = serverFromString(reactor, sys.argv[1]).listen(factory)
opening.addErrback(lambda failure: print(failure.getErrorMessage()))
reactor.run()
"""

AUTOBAHN = """
import sys
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString

class Echo(WebSocketServerProtocol):
    def onOpen(self):
        self.sendMessage(self.transport.getPeer().host.encode())

    def onMessage(self, payload, isBinary):
        self.sendMessage(payload, isBinary)

factory = WebSocketServerFactory()
factory.protocol = Echo
opening = serverFromString(reactor, sys.argv[1]).listen(factory)
opening.addErrback(lambda failure: print(failure.getErrorMessage()))
reactor.run()
"""


class FrameworkTests(TunnelTestCase):
    """Each as its own documents write it, with a tunnel in place of a port."""

    def setUp(self) -> None:
        super().setUp()
        self.visitor = self.another_host()
        self.public = self.port()

    def started(self, name: str, source: str, needed: Sequence[str]) -> None:
        """Start a program behind a server of its own; its port is open then."""
        lacking = [each for each in needed if find_spec(each) is None]
        if lacking:
            raise SkipTest(f"these Python packages are not installed, which the test extra has: {', '.join(lacking)}")
        server = self.server(allow_ports=["1-65535"])
        path = self.write(f"{name}_program.py", source)
        endpoint = rf"gotunnel:{self.host}\:{self.control}:remote={self.host}\:{self.public}"
        self.launch(name, [sys.executable, path, endpoint], GOTUNNEL_TOKEN=self.token)
        server.wait_for(rf"open at {self.host}:{self.public}")

    def run_to_end(self, command: Sequence[object], sent: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run a visitor's command."""
        return subprocess.run(
            [str(word) for word in command], cwd=self.folder, env=self.environment(), input=sent, capture_output=True,
            timeout=DEADLINE, check=False,
        )  # fmt: skip

    def test_klein(self) -> None:
        """A Klein application knows its visitors, answers at once, later, and to a large body; what it does not have is
        a 404 of its own."""
        curl = [need("curl"), "--silent", "--show-error", "--interface", self.visitor, "--max-time", DEADLINE]
        self.started("klein", KLEIN, ["klein"])
        base = f"http://{self.host}:{self.public}"
        body = os.urandom(3 << 20)
        self.write("body", "").write_bytes(body)
        done = self.run_to_end([
            *curl, "--write-out", r"\n%{http_code}\n", f"{base}/who", f"{base}/later/41", f"{base}/nowhere",
            "--next", *curl[1:], "--data-binary", "@body", f"{base}/digest",
        ])  # fmt: skip
        said = done.stdout.decode()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(said.startswith(f"{self.visitor} at {self.host}\n200\n42\n200\n"), said)
        self.assertIn("\n404\n", said)
        self.assertTrue(said.endswith(hashlib.sha256(body).hexdigest()), said)
        access = (self.folder / "klein.access").read_text()
        self.assertIn(f'"{self.visitor}" - - ', access)

    def test_conch(self) -> None:
        """OpenSSH's client logs in to a Conch server with a key, hears whom that sees, with the exit code, and sends
        some megabytes through it."""
        ssh, keygen = need("ssh", "openssh-client"), need("ssh-keygen", "openssh-client")
        for name in ("host", "user"):
            self.run_to_end([keygen, "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", self.folder / name])
        self.write("known", f"conch {(self.folder / 'host.pub').read_text()}")
        self.started("conch", CONCH, ["bcrypt", "cryptography"])
        options = {
            "Port": self.public, "User": "guest", "IdentityFile": self.folder / "user", "IdentitiesOnly": "yes",
            "IdentityAgent": "none", "UserKnownHostsFile": self.folder / "known", "GlobalKnownHostsFile": "none",
            "HostKeyAlias": "conch", "StrictHostKeyChecking": "yes", "BatchMode": "yes", "BindAddress": self.visitor,
        }  # fmt: skip
        given = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        told = self.run_to_end([ssh, "-F", "none", *given, self.host, "who"])
        self.assertEqual((told.stdout.decode(), told.returncode), (f"{self.visitor} at {self.host}", 7), told.stderr)
        body = os.urandom(4 << 20)
        told = self.run_to_end([ssh, "-F", "none", *given, self.host, "digest"], body)
        self.assertEqual((told.stdout.decode(), told.returncode), (hashlib.sha256(body).hexdigest(), 0), told.stderr)

    def test_autobahn(self) -> None:
        """WebSockets of autobahn: whom they see, and messages of every size back and forth, to an orderly close."""
        from websockets.sync.client import connect

        self.started("autobahn", AUTOBAHN, ["autobahn"])
        with connect(
            f"ws://{self.host}:{self.public}", source_address=(self.visitor, 0), proxy=None, max_size=None
        ) as socket:
            self.assertEqual(socket.recv(DEADLINE), self.visitor)
            for size in (0, 1, 125, 65_536, 1 << 20):
                message = os.urandom(size)
                socket.send(message)
                self.assertEqual(socket.recv(DEADLINE), message)
            socket.send("words")
            self.assertEqual(socket.recv(DEADLINE), "words")
        self.assertEqual(socket.close_code, 1000)

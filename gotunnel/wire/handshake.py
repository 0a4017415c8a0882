"""The handshake of version 2: one object per end, used once. Frames, deadlines and session order are not handled here.

    client                                server
    hello()                        →      receive_hello()      version, client name
    receive_challenge()            ←                           session id
                   auth            →      receive_auth()       the client holds the token, in this TLS session
    receive_auth_ok()              ←      established()        so does the server

If the server has to see the token itself, because others decide whether it is right, `bearer` takes the place of
`auth`. The rest is the same: both ends then hold the token and prove it to each other in this TLS session.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gotunnel.errors import AuthRejected, LocalProtocolError, RemoteProtocolError
from gotunnel.wire import strictjson
from gotunnel.wire.keys import (
    NO_BINDING,
    client_mac,
    derive_key,
    leg_client_mac,
    leg_server_mac,
    open_hashes,
    open_mac,
    same,
    same_mac,
    server_mac,
    session_key,
    transcript,
)
from gotunnel.wire.messages import (
    BEARER,
    VERSION,
    Auth,
    AuthOk,
    Bearer,
    Challenge,
    Hello,
    Limits,
    Message,
    decode,
    decode_object,
    encode,
)
from gotunnel.wire.steps import Step, Walk, expected

__all__ = [
    "NO_BINDING",
    "ClientHandshake",
    "Established",
    "ServerHandshake",
    "client_mac",
    "derive_key",
    "leg_client_mac",
    "leg_server_mac",
    "open_hashes",
    "open_mac",
    "same",
    "same_mac",
    "server_mac",
    "session_key",
    "transcript",
]

Random = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Established:
    """The result of a client's handshake: the session id (16 bytes), the key of its legs, and both server messages."""

    sid: bytes
    ks: bytes = field(repr=False)
    auth_ok: AuthOk
    challenge: Challenge


class ClientHandshake(Walk):
    """The client's side.

    `instance` is this process's random id (1 to 64 bytes); `agent` names the program. With `bearer` the token itself is
    sent: set it only if a certificate has proved the server before this handshake.
    """

    def __init__(
        self,
        client: str,
        token: str,
        instance: bytes | None,
        agent: str | None,
        caps: Sequence[str] = (),
        *,
        bearer: bool = False,
        random_bytes: Random = secrets.token_bytes,
    ) -> None:
        super().__init__()
        self._key = derive_key(token, client)
        self._bearer = token.strip() if bearer else None
        caps = (*caps, BEARER) if bearer else tuple(caps)
        self._message = Hello(VERSION, VERSION, client, random_bytes(32), caps, instance, agent)
        self._hello = encode(self._message)
        self._challenge: Challenge | None = None
        self._th = b""

    def hello(self) -> bytes:
        """Return the first payload to send."""
        self._leave(Step.START)
        self._reach(Step.HELLO)
        return self._hello

    def receive_challenge(self, payload: bytes, cb: bytes) -> bytes:
        """Read the server's answer and return the payload that proves this client.

        `cb` is the channel binding of this connection. Raises AuthRejected if the answer is an `error`; treat it as a
        hint, because the server has not proved anything yet. Raises RemoteProtocolError for any other message, with
        code `version` if the server speaks a different version.
        """
        self._leave(Step.HELLO)
        found = strictjson.loads(payload)
        if found.get("type") == "register_resp":
            raise RemoteProtocolError("the server speaks only version 1 of the protocol", "version")
        challenge = expected(Challenge, decode_object(found))
        if not self._message.min_v <= challenge.v <= self._message.v:
            raise RemoteProtocolError(f"the server chose version {challenge.v}, not {VERSION}", "version")
        self._challenge = challenge
        self._th = transcript(self._hello, payload, cb)
        mac = client_mac(self._key, self._th)
        auth: Message = Auth(mac)
        if self._bearer is not None:
            if cb == NO_BINDING:
                raise LocalProtocolError("a token is shown inside TLS only")
            if BEARER not in challenge.caps:
                what = "nothing on the server needs to see the token; remove client.bearer"
                raise RemoteProtocolError(what, "no_bearer")
            auth = Bearer(self._bearer, mac)
        payload = encode(auth)
        self._reach(Step.AUTH)
        return payload

    @property
    def challenge(self) -> Challenge:
        """The challenge, authenticated only after `receive_auth_ok`. Raises LocalProtocolError if there is none."""
        if self._challenge is None:
            raise LocalProtocolError("no challenge has been received")
        return self._challenge

    def receive_auth_ok(self, payload: bytes) -> Established:
        """Check the server's proof. Raises AuthRejected for an `error` or a wrong MAC, RemoteProtocolError for any
        other message."""
        self._leave(Step.AUTH)
        auth_ok = expected(AuthOk, decode(payload))
        if self._challenge is None or not same(auth_ok.mac, server_mac(self._key, self._th)):
            reason = "the server did not prove that it holds the token; somebody may be in between"
            raise AuthRejected("bad_server_mac", reason)
        self._reach(Step.DONE)
        return Established(self._challenge.sid, session_key(self._key, self._th), auth_ok, self._challenge)


class ServerHandshake(Walk):
    """The server's side.

    `keys_for` returns the keys K that are valid for a client name, and none for a name that is not admitted. Response
    times hide which names exist only if it returns equally many keys for each name. `server` is this process's random
    id (1 to 64 bytes); `time` is its wall clock in Unix seconds. With `bearer` a client may send its token.
    """

    def __init__(
        self,
        keys_for: Callable[[str], Sequence[bytes]],
        caps: Sequence[str] = (),
        server: bytes | None = None,
        *,
        bearer: bool = False,
        time: float | None = None,
        random_bytes: Random = secrets.token_bytes,
    ) -> None:
        super().__init__()
        self._time = time
        self._keys_for = keys_for
        self._bearer = bearer
        self._caps = (*caps, BEARER) if bearer else tuple(caps)
        self._server = server
        self._sid, self._nonce, self._key = random_bytes(16), random_bytes(32), random_bytes(32)
        self._hello: Hello | None = None
        self._payloads = (b"", b"")
        self._th = b""

    def receive_hello(self, payload: bytes) -> bytes:
        """Read the client's first payload and return the challenge to send.

        Raises RemoteProtocolError, with code `version` if the client does not speak our version.
        """
        self._leave(Step.START)
        found = strictjson.loads(payload)
        if found.get("type") == "hello":
            # Checked before the other fields, which another version may have changed.
            _check_version(found.get("v"), found.get("min_v"))
        self._hello = expected(Hello, decode_object(found))
        challenge = encode(Challenge(VERSION, self._sid, self._nonce, self._caps, self._server, self._time))
        self._payloads = (payload, challenge)
        self._reach(Step.HELLO)
        return challenge

    @property
    def hello(self) -> Hello:
        """The client's hello, authenticated only after `receive_auth`. Raises LocalProtocolError if there is none."""
        if self._hello is None:
            raise LocalProtocolError("no hello has been received")
        return self._hello

    @property
    def sid(self) -> bytes:
        """The id of this session: 16 random bytes."""
        return self._sid

    def receive_auth(self, payload: bytes, cb: bytes) -> str | None:
        """Check the client's proof; `cb` is the channel binding of this connection.

        Returns the token if the client sent it, otherwise None. A returned token is proved to belong to this
        connection, but the caller still has to find out whether it is valid.

        Raises AuthRejected with `auth_failed`, the same for a wrong token and an unknown name. Raises
        RemoteProtocolError for any other message.
        """
        self._leave(Step.HELLO)
        message = decode(payload)
        self._th = transcript(*self._payloads, cb)
        if self._bearer and isinstance(message, Bearer):
            self._key = derive_key(message.token, self.hello.client)
            if not same(message.mac, client_mac(self._key, self._th)):
                raise AuthRejected("auth_failed", "the client name or the token is wrong")
            self._reach(Step.AUTH)
            return message.token
        auth = expected(Auth, message)
        keys = self._keys_for(self.hello.client)
        # Constant time: an unknown name is compared against a random key, and all keys are tried even after a match.
        proven = [same(auth.mac, client_mac(key, self._th)) for key in keys or (self._key,)]
        if not keys or True not in proven:
            raise AuthRejected("auth_failed", "the client name or the token is wrong")
        self._key = keys[proven.index(True)]
        self._reach(Step.AUTH)
        return None

    @property
    def key(self) -> bytes:
        """The key K that the client has proved. Raises LocalProtocolError before it has."""
        self._require(Step.AUTH, Step.DONE)
        return self._key

    def established(
        self, limits: Limits, heartbeat: float, heartbeat_timeout: float, leg_sni: str | None = None
    ) -> bytes:
        """Return the payload that proves this server and opens the session. Both heartbeat values are in seconds."""
        self._leave(Step.AUTH)
        mac = server_mac(self._key, self._th)
        payload = encode(AuthOk(mac, heartbeat, heartbeat_timeout, limits, leg_sni))
        self._reach(Step.DONE)
        return payload

    @property
    def ks(self) -> bytes:
        """The key of the session's legs. Raises LocalProtocolError before the client has authenticated."""
        self._require(Step.AUTH, Step.DONE)
        return session_key(self._key, self._th)


def _check_version(newest: object, oldest: object) -> None:
    if type(newest) is int and type(oldest) is int and not oldest <= VERSION <= newest:
        raise RemoteProtocolError(f"this server speaks version {VERSION} of the protocol only", "version")

"""Both ends of the handshake, in each stage: any payload is refused in words, and none opens a session."""

from __future__ import annotations

from gotunnel.errors import AuthRejected, RemoteProtocolError
from gotunnel.wire.handshake import ClientHandshake, ServerHandshake, derive_key
from gotunnel.wire.messages import Limits

__all__ = ["attempt"]

TOKEN = "7f3a9c51e8d24b60af17c3925be8d046"
KEY = derive_key(TOKEN, "edge")
CB = bytes(32)


def attempt(data: bytes) -> None:
    client = ClientHandshake("edge", TOKEN, b"one", "test")
    server = ServerHandshake(lambda name: [KEY] if name == "edge" else [])
    stage, payload = data[0] % 4 if data else 0, data[1:]
    try:
        if stage == 0:
            server.receive_hello(payload)
            return
        challenge = server.receive_hello(client.hello())
        if stage == 1:
            client.receive_challenge(payload, CB)
            return
        auth = client.receive_challenge(challenge, CB)
        if stage == 2:
            server.receive_auth(payload, CB)
            raise AssertionError("a session without a proof")
        server.receive_auth(auth, CB)
        server.established(Limits(1, 1, 1), 10, 30)
        client.receive_auth_ok(payload)
        raise AssertionError("a server without a proof")
    except (AuthRejected, RemoteProtocolError) as refused:
        assert str(refused).isprintable(), "a refusal that is no line"

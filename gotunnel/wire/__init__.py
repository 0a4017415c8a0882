"""The wire protocol between a server and a client as pure code: bytes in, values out, and back.

Nothing here opens a socket, reads a clock or logs. Time is passed in as an argument. A violation of the protocol raises
RemoteProtocolError (the peer's fault) or LocalProtocolError (ours).
"""

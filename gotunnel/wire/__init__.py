"""What travels between a server and a client, as pure code: bytes in, values out, and back. Nothing here
opens a socket, reads a clock or logs; time is an argument, and a broken rule is a RemoteProtocolError or
LocalProtocolError."""

"""Exits with 0 if the gotunnel server on this machine answers, for health checks of containers: `alive.py [PORT]`.

A connection alone would show only that the kernel queues it. So one byte is sent that is no greeting; a server whose
event loop runs ends the connection at once. From loopback that is no failed login (server.penalties.exempt).
"""

import socket
import sys

SECONDS = 3.0


def main() -> int:
    """Ask, and return the exit code."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 17000
    try:
        with socket.create_connection(("127.0.0.1", port), SECONDS) as server:
            try:
                server.sendall(b"\n")
                answer = server.recv(1)
            except ConnectionError:
                answer = b""
    except OSError as error:
        print(f"the server on port {port} does not answer: {error}", file=sys.stderr)
        return 1
    if answer:
        print(f"what answers on port {port} is no gotunnel server", file=sys.stderr)
    return bool(answer)


if __name__ == "__main__":
    sys.exit(main())

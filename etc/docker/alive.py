"""Health check for containers: exits with 0 if the gotunnel server on this machine answers. `alive.py [PORT]`

A successful connect alone shows only that the kernel has queued the connection. So the check sends one byte that is
not a greeting: a server whose event loop runs closes the connection at once. From loopback this does not count as a
failed login (server.penalties.exempt).
"""

import socket
import sys

SECONDS = 3.0


def main() -> int:
    """Ask the server, and return the exit code."""
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

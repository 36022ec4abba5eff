# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fleet of agents in one process: every address 127.0.x.y answers, every 127.9.x.y hangs.

One epoll loop and answers made beforehand, some 30 µs a request, so that the observer and not
this server is what a benchmark measures. Prints its port, then serves until it is killed.
"""

from __future__ import annotations

import select
import socket
import sys

BASIC = b'{"status": "healthy", "service": "cost-agent", "version": "1.0.0"}'
DETAILED = (
    b'{"status": "healthy", "release": "1.4.2", "uptime_s": 120.5, "components": '
    b'{"database": {"status": "healthy", "latency_ms": 0.8}, '
    b'"cache": {"status": "healthy", "latency_ms": 0.2}}}'
)


def answer(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


def serve(listener: socket.socket) -> None:
    basic, detailed = answer(BASIC), answer(DETAILED)
    connections: dict[int, socket.socket] = {}
    hanging: set[int] = set()
    epoll = select.epoll()
    epoll.register(listener, select.EPOLLIN)
    while True:
        for descriptor, _events in epoll.poll():
            if descriptor == listener.fileno():
                accept(listener, epoll, connections, hanging)
                continue
            connection = connections[descriptor]
            try:
                request = connection.recv(4096)
            except ConnectionError:
                request = b""
            if not request:
                epoll.unregister(descriptor)
                connections.pop(descriptor).close()
                hanging.discard(descriptor)
            elif descriptor not in hanging:
                connection.send(detailed if b"/detailed " in request[:80] else basic)


def accept(
    listener: socket.socket,
    epoll: select.epoll,
    connections: dict[int, socket.socket],
    hanging: set[int],
) -> None:
    while True:
        try:
            connection, _address = listener.accept()
        except BlockingIOError:
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connections[connection.fileno()] = connection
        epoll.register(connection, select.EPOLLIN)
        if connection.getsockname()[0].startswith("127.9."):
            hanging.add(connection.fileno())


def main() -> None:
    listener = socket.socket()
    listener.bind(("0.0.0.0", 0))
    listener.listen(4096)
    listener.setblocking(False)
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    serve(listener)


if __name__ == "__main__":
    main()

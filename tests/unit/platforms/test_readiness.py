# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Readiness is a 2xx in time, and nothing else is."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.clock import SystemClock
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.readiness import (
    probe,
    url_of,
)


@contextlib.contextmanager
def answering(*pieces, pause_s=0.0):
    """A server that sends these pieces to its one client; yields its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _address = server.accept()
            with connection, contextlib.suppress(OSError):
                connection.recv(4096)
                for piece in pieces:
                    connection.sendall(piece)
                    time.sleep(pause_s)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def ask(port, timeout_s=2.0):
    return probe("127.0.0.1", port, "/ready", SystemClock(), timeout_s)


@pytest.mark.parametrize(
    ("answer", "is_ready", "seen"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", True, "HTTP 200"),
        (b"HTTP/1.1 204\r\n\r\n", True, "HTTP 204"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\nonly the start", True, "HTTP 200"),
        (b"HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n", False, "HTTP 302"),
        (b"HTTP/1.1 401 Unauthorized\r\n\r\n", False, "HTTP 401"),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", False, "HTTP 503"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", False, "an answer that is not HTTP"),
        (b"HTTP/1.1 2", False, "an answer that is not HTTP"),
        (b"x" * 100_000, False, "an answer that is not HTTP"),
        (b"", False, "closed without an answer"),
    ],
)
def test_only_the_status_counts(answer, is_ready, seen):
    with answering(answer) as port:
        found = ask(port)
    assert (found.is_ready, found.seen) == (is_ready, seen)


def test_an_answer_in_pieces_is_read_on():
    with answering(b"HTTP/1.1 2", b"00 OK\r\n") as port:
        assert ask(port).is_ready


def test_one_byte_at_a_time_does_not_outlast_the_timeout():
    with answering(*[b"H"] * 40, pause_s=0.02) as port:
        found = ask(port, timeout_s=0.2)
    assert found.seen == "no answer within 0.2 s"


def test_a_closed_port_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert ask(port).seen == "connection refused"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:8001"),
        ("::", "http://[::1]:8001"),
        ("10.0.0.5", "http://10.0.0.5:8001"),
        ("localhost", "http://localhost:8001"),
    ],
)
def test_where_a_replica_is_reached(host, url):
    assert url_of(host, 8001) == url

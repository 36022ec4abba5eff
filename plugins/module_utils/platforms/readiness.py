# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a replica answers its readiness endpoint: one GET, of which only the status counts."""

from __future__ import annotations

import contextlib
import re
import socket
from dataclasses import dataclass

from ..core.clock import Clock
from ..core.deadline import Deadline

PROBE_TIMEOUT_S = 2.0
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})(?: [^\r\n]*)?\r?\n")
_LONGEST_STATUS_LINE = 1024


@dataclass(frozen=True)
class Answer:
    """`is_ready` on any 2xx; otherwise `seen` says what came instead."""

    is_ready: bool
    seen: str


def local_address(host: str) -> str:
    """Where a server that listens on `host` is reached from its own machine."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def url_of(host: str, port: int) -> str:
    """The address to give to people and probes."""
    address = local_address(host)
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


def probe(
    host: str, port: int, path: str, clock: Clock, timeout_s: float = PROBE_TIMEOUT_S
) -> Answer:
    """Ask once. Ends after `timeout_s` however slowly an answer trickles, and reads no body."""
    deadline = Deadline(clock, timeout_s)
    address = local_address(host)
    try:
        with socket.create_connection((address, port), timeout=timeout_s) as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may answer still
                connection.sendall(_request(address, port, path))
            line = _status_line(connection, deadline)
    except socket.timeout:  # its own class before Python 3.10
        return Answer(False, f"no answer within {timeout_s:g} s")
    except OSError as error:
        return Answer(False, (error.strerror or str(error)).lower())
    match = _STATUS_LINE.match(line)
    if not match:
        return Answer(False, "an answer that is not HTTP" if line else "closed without an answer")
    status = int(match.group(1))
    return Answer(200 <= status < 300, f"HTTP {status}")


def _request(address: str, port: int, path: str) -> bytes:
    host = f"[{address}]" if ":" in address else address
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n"
        "User-Agent: optiinfra.cost_agent\r\nConnection: close\r\n\r\n"
    ).encode("ascii")


def _status_line(connection: socket.socket, deadline: Deadline) -> bytes:
    received = b""
    while b"\n" not in received and len(received) < _LONGEST_STATUS_LINE:
        if deadline.expired:
            raise socket.timeout
        connection.settimeout(deadline.remaining)
        piece = connection.recv(_LONGEST_STATUS_LINE)
        if not piece:
            break
        received += piece
    return received

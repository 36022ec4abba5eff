# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a replica could listen on a port, and who does."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from ...core.redact import redact_text

_LISTENING = "0A"  # TCP_LISTEN of the kernel's include/net/tcp_states.h


@dataclass(frozen=True)
class Obstacle:
    """Why a port cannot be listened on; `is_held` when somebody else listens there."""

    is_held: bool
    seen: str


def obstacle(host: str, port: int) -> Obstacle | None:
    """What keeps a server from listening there, or None.

    Binds as uvicorn does, which alone answers for every mix of addresses and families, and lets
    go at once without ever listening.
    """
    try:
        family, kind, protocol, _name, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return Obstacle(True, f"port {port} is held by {holder(port)}")
        reason = (error.strerror or str(error)).lower()
        return Obstacle(False, f"{host} port {port} cannot be listened on: {reason}")
    except UnicodeError:  # longer than DNS allows
        return Obstacle(False, f"{host[:40]} is no host name")
    return None


def holder(port: int) -> str:
    """Who listens on a port, in words: pid and command where this user may see them."""
    inodes = _listening_inodes(port)
    for name in os.listdir("/proc"):
        if name.isdigit() and not inodes.isdisjoint(_sockets_of(name)):
            return f"pid {name} ({command_of(int(name))})"
    return "another user's process (become root to see which)"


def _listening_inodes(port: int) -> set[str]:
    found = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = Path("/proc/self/net", table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:  # no IPv6
            continue
        for line in lines:
            fields = line.split()
            local_port = int(fields[1].rpartition(":")[2], 16)
            if local_port == port and fields[3] == _LISTENING:
                found.add(f"socket:[{fields[9]}]")
    return found


def _sockets_of(pid: str) -> set[str]:
    found = set()
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            found.add(os.readlink(f"/proc/{pid}/fd/{name}"))
    except OSError:  # it ended, or is another user's
        pass
    return found


def command_of(pid: int) -> str:
    """The program of a process and the first of its arguments, without passwords in URLs."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        text = " ".join(word for word in words if word)
        return (
            redact_text(text)[:80] or Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
        )
    except OSError:
        return "unknown"

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much memory a server's machine or container has, as far as it can be known from here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..platforms import process_memory_limits

_LOOPBACK = ("127.", "::1", "localhost")
_PROGRAMS = ("redis", "valkey", "keydb")


def machine_bytes(info: dict[str, Any], host: str) -> int | None:
    """The memory that a server sees, or its control group's limit if that is less; None: unknown.

    What the server sees is the whole machine, also inside of a container. Its control group can be
    looked at where it runs on this machine and its process is visible here.
    """
    seen = [int(info.get("total_system_memory", 0))]
    pid = int(info.get("process_id", 0))
    if host.startswith(_LOOPBACK) and _is_server(pid):
        seen += process_memory_limits(pid)
    return min((each for each in seen if each > 0), default=None)


def _is_server(pid: int) -> bool:
    """Whether this process is a Redis; a container's process has another number here."""
    try:
        name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8")
    except OSError:
        return False
    return name.startswith(_PROGRAMS)

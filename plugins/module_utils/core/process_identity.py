# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which process a number means: pids are reused, so a pid alone names nobody.

Linux only: start times come from /proc. A process is the same one when pid, start time (clock
ticks since boot) and boot are the same.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

_STATE_FIELD = 0  # of proc(5) stat, counted behind the command's closing parenthesis
_START_TIME_FIELD = 19
_ENDED = ("Z", "X", "x")


@dataclass(frozen=True)
class ProcessIdentity:
    """One process of one machine (or pid namespace) between two boots."""

    pid: int
    start_time: int
    machine: str

    def is_alive(self) -> bool:
        """Whether exactly this process still runs; a zombie does not."""
        return identify(self.pid) == self


def this_machine() -> str:
    """Name, boot and pid namespace: where a pid has the meaning that it has here."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    return f"{socket.gethostname()}/{boot}/{os.readlink('/proc/self/ns/pid')}"


def identify(pid: int) -> ProcessIdentity | None:
    """The live process that has this pid now, or None."""
    fields = stat_fields(pid)
    if fields is None or fields[_STATE_FIELD] in _ENDED:
        return None
    return ProcessIdentity(pid, int(fields[_START_TIME_FIELD]), this_machine())


def stat_fields(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat behind the command name, or None when there is no process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a replica uses, from /proc, and what limits it.

Memory is the sum of Pss (proportional set size): a page that several processes share counts
once in the sum, where the sum of Rss would count it once for each worker. Where the kernel does
not give it, Rss stands in, which is never too low.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ...core.process_identity import ProcessIdentity, stat_fields
from ..protocol import Usage
from . import cgroup

# Of proc(5) stat, counted behind the command's closing parenthesis: utime, stime, and the same
# of children that have ended.
_CPU_FIELDS = (11, 12, 13, 14)
_MIB = 1024 * 1024


def usage_of(
    leader: ProcessIdentity, processes: Sequence[ProcessIdentity], memory_limit_mb: int | None
) -> Usage:
    """The usage of a replica: its first process and all of its processes."""
    ticks_per_s = os.sysconf("SC_CLK_TCK")
    return Usage(
        memory_bytes=sum(_memory_bytes(process.pid) for process in processes),
        memory_limit_bytes=_limit_bytes(leader.pid, memory_limit_mb),
        cpu_seconds=round(sum(_cpu_ticks(process.pid) for process in processes) / ticks_per_s, 2),
        uptime_s=round(max(0.0, _machine_uptime_s() - leader.start_time / ticks_per_s), 2),
    )


def _memory_bytes(pid: int) -> int:
    for name, field in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        kib = _field_kib(Path(f"/proc/{pid}", name), field)
        if kib is not None:
            return kib * 1024
    return 0  # it has ended


def _field_kib(path: Path, field: str) -> int | None:
    try:
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(field):
                return int(line.split()[1])
    except OSError:
        pass
    return None


def _cpu_ticks(pid: int) -> int:
    fields = stat_fields(pid)
    return sum(int(fields[index]) for index in _CPU_FIELDS) if fields else 0


def _machine_uptime_s() -> float:
    return float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])


def _limit_bytes(pid: int, memory_limit_mb: int | None) -> int | None:
    """The given limit; else the lowest of the cgroups around the process; else the machine's.

    A cgroup's limit holds for all that is in it, so several replicas may share it.
    """
    if memory_limit_mb is not None:
        return memory_limit_mb * _MIB
    total = _field_kib(Path("/proc/meminfo"), "MemTotal:")
    limits = cgroup.process_memory_limits(pid)
    if total is not None:
        limits.append(total * 1024)
    return min(limits, default=None)

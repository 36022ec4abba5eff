# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container uses, out of one answer of the engine's stats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..protocol import Usage
from .container import epoch_s


def usage_of(
    stats: Mapping[str, Any], started_at: float, cpu_limit_cores: float | None
) -> Usage | None:
    """Memory as `docker stats` counts it: without the inactive part of the page cache.

    The kernel takes that back before it runs out, so that counting it would call every replica
    full that reads files. Its name differs between cgroup v1 and v2. Without a limit of its own a
    container's limit is the machine's memory. None where the engine could not measure: it then
    answers with zeros, which are not what the replica uses.
    """
    memory = stats.get("memory_stats") or {}
    if "usage" not in memory:
        return None
    taken_at = epoch_s(stats.get("read")) or started_at
    details = memory.get("stats") or {}
    used = memory["usage"]
    cache = details.get("total_inactive_file", details.get("inactive_file", 0))
    if cache < used:
        used -= cache
    cpu = (stats.get("cpu_stats") or {}).get("cpu_usage") or {}
    return Usage(
        memory_bytes=used,
        memory_limit_bytes=memory.get("limit") or None,
        cpu_seconds=round((cpu.get("total_usage") or 0) / 1e9, 3),
        uptime_s=round(max(taken_at - started_at, 0.0), 2),
        cpu_limit_cores=cpu_limit_cores,
    )

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's state as results return it and people read it."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.result import Table
from .protocol import STARTED, STOPPED, AgentState, Replica, Usage

_MIB = 1024 * 1024


def summary(state: AgentState) -> str:
    """One line: `3 of 3 ready, release 1.4.2`."""
    alive = [replica for replica in state.replicas if replica.is_alive]
    ready = sum(replica.status == "ready" for replica in alive)
    intent = state.intent
    if intent is None and not alive:
        return "not installed" if state.release is None else f"never started, {_releases(state)}"
    if intent is not None and intent.state == STOPPED and not alive:
        kept = "" if state.release is None else f", {_releases(state)}"
        return f"stopped on purpose, {intent.replicas} remembered{kept}"
    wanted = intent.replicas if intent and intent.state == STARTED else len(alive)
    return f"{ready} of {wanted} ready, {_releases(state)}"


def _releases(state: AgentState) -> str:
    """The releases that run, else the current one."""
    running = sorted({r.release for r in state.replicas if r.is_alive and r.release})
    names = running or ([state.release] if state.release else [])
    if not names:
        return "release unknown"
    return f"release {names[0]}" if len(names) == 1 else f"releases {', '.join(names)}"


def replica_table(replicas: Sequence[Replica]) -> Table:
    """One row for each replica; usage where it was measured."""
    columns = ["replica", "status", "release", "pid", "uptime", "memory", "note"]
    return Table(columns, [_row(replica) for replica in replicas])


def _row(replica: Replica) -> list[str]:
    usage = replica.usage
    return [
        replica.name,
        replica.status,
        replica.release or "-",
        str(replica.pid or "-"),
        duration_text(usage.uptime_s) if usage else "-",
        _memory_text(usage) if usage else "-",
        replica.note,
    ]


def _memory_text(usage: Usage) -> str:
    used = f"{usage.memory_bytes / _MIB:.0f} MB"
    if not usage.memory_limit_bytes:
        return used
    return f"{used}, {100 * usage.memory_bytes / usage.memory_limit_bytes:.0f} %"


def duration_text(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 20 min`, `5 d 2 h`."""
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if minutes == 0:
        return f"{seconds:.0f} s"
    if hours == 0:
        return f"{minutes} min"
    if days == 0:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server's memory and autovacuum settings against its machine, each by a published rule. Pure.

Report only: what would be better depends on the work, and these are where to start from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..core.readable import count_text, size_text

OK = "ok"
CHANGE = "change"
UNKNOWN = "unknown"

_GIB = 1024**3
# Beyond these a table is large: 10 % of it, which AWS's managed PostgreSQL begins to vacuum at, are
# as many dead rows as any table should gather.
_LARGE_ROWS = 1_000_000
_MOST_DEAD_ROWS = 100_000
_LEAST_SCALE_FACTOR = 0.001

_RESOURCES = "PostgreSQL's documentation, Resource Consumption"
_WIKI = "PostgreSQL's wiki, Tuning Your PostgreSQL Server"
_PGTUNE = "PGTune"
_AUTOVACUUM = "PostgreSQL's documentation, The Autovacuum Daemon; AWS Prescriptive Guidance"


@dataclass(frozen=True)
class ServerSettings:
    """What a server runs with; memory in bytes, `hash_mem_multiplier` 1 before PostgreSQL 13.

    `autovacuum_max_threshold` is None before PostgreSQL 18, and where it is off.
    """

    max_connections: int
    shared_buffers: int
    effective_cache_size: int
    work_mem: int
    hash_mem_multiplier: float
    parallel_per_gather: int
    autovacuum: bool
    autovacuum_threshold: int
    autovacuum_scale_factor: float
    autovacuum_max_threshold: int | None = None


@dataclass(frozen=True)
class TableStatistics:
    """One table; `scale_factor` and `threshold` are its own settings, None where it has none."""

    name: str
    rows: int
    dead_rows: int
    size: int
    scale_factor: float | None = None
    threshold: int | None = None
    is_vacuumed: bool = True


@dataclass(frozen=True)
class SettingAdvice:
    """One setting: what it is, what it should be (None for fine or unknown), how and by whom."""

    setting: str
    now: str
    advised: str | None
    verdict: str
    arithmetic: str
    source: str
    restart_required: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as results show them."""
        return dict(vars(self))


def advise_settings(
    settings: ServerSettings, memory: int | None, tables: Sequence[TableStatistics]
) -> list[SettingAdvice]:
    """Advice on each; `memory` is the machine's in bytes, None where nobody told."""
    return [
        _shared_buffers(settings, memory),
        _effective_cache_size(settings, memory),
        _work_mem(settings, memory),
        _autovacuum(settings),
        *(each for table in tables if (each := _table(settings, table)) is not None),
    ]


def _shared_buffers(settings: ServerSettings, memory: int | None) -> SettingAdvice:
    """25 % of a machine of 1 GiB or more, hardly ever more than 40 %; less of a smaller one."""
    now = settings.shared_buffers
    if memory is None:
        return _no_memory("shared_buffers", now, _RESOURCES)
    share, least, most = (0.25, 0.15, 0.4) if memory >= _GIB else (0.15, 0.05, 0.25)
    advised = int(memory * share)
    fine = memory * least <= now <= memory * most
    return SettingAdvice(
        "shared_buffers",
        size_text(now),
        None if fine else _mib(advised),
        OK if fine else CHANGE,
        f"{size_text(memory)} x {share:g} = {size_text(advised)}; {100 * now / memory:.0f} % now",
        _RESOURCES,
        restart_required=not fine,
    )


def _effective_cache_size(settings: ServerSettings, memory: int | None) -> SettingAdvice:
    """Half of the memory is a careful estimate of all caches, three quarters a bold one."""
    now = settings.effective_cache_size
    if memory is None:
        return _no_memory("effective_cache_size", now, _WIKI)
    fine = memory * 0.5 <= now <= memory * 0.75 + 1
    advised = int(memory * 0.75)
    return SettingAdvice(
        "effective_cache_size",
        size_text(now),
        None if fine else _mib(advised),
        OK if fine else CHANGE,
        f"{size_text(memory)} x 0.5 to 0.75, so up to {size_text(advised)}",
        _WIKI,
    )


def _work_mem(settings: ServerSettings, memory: int | None) -> SettingAdvice:
    """(memory - shared_buffers) / (max_connections x 3) / workers of a parallel query."""
    now = settings.work_mem
    if memory is None:
        return _no_memory("work_mem", now, _PGTUNE)
    workers = max(1, settings.parallel_per_gather)
    left = max(0, memory - settings.shared_buffers)
    most = left // (settings.max_connections * 3) // workers
    at_once = int(now * settings.hash_mem_multiplier * settings.max_connections)
    fine = now <= most
    return SettingAdvice(
        "work_mem",
        size_text(now),
        None if fine else f"{max(64, most // 1024)}kB",
        OK if fine else CHANGE,
        f"({size_text(memory)} - {size_text(settings.shared_buffers)}) / "
        f"({settings.max_connections} connections x 3) / {workers} = {size_text(most)} at the "
        f"most; one hash in each connection takes {size_text(now)} x "
        f"{settings.hash_mem_multiplier:g} x {settings.max_connections} = {size_text(at_once)}",
        _PGTUNE,
    )


def _autovacuum(settings: ServerSettings) -> SettingAdvice:
    fine = settings.autovacuum
    return SettingAdvice(
        "autovacuum",
        "on" if fine else "off",
        None if fine else "on",
        OK if fine else CHANGE,
        "without it dead rows stay and statistics grow old",
        _AUTOVACUUM,
    )


def _table(settings: ServerSettings, table: TableStatistics) -> SettingAdvice | None:
    """A large table that gathers too many dead rows before autovacuum comes; None for others.

    It comes at autovacuum_vacuum_threshold + autovacuum_vacuum_scale_factor x rows, and from
    PostgreSQL 18 on at autovacuum_vacuum_max_threshold at the latest.
    """
    name = f"autovacuum of {table.name}"
    if not table.is_vacuumed:
        text = f"it has {count_text(table.dead_rows)} dead rows of {count_text(table.rows)}"
        return SettingAdvice(name, "off", "autovacuum_enabled = on", CHANGE, text, _AUTOVACUUM)
    if table.rows < _LARGE_ROWS:
        return None
    own = table.scale_factor
    factor = settings.autovacuum_scale_factor if own is None else own
    base = settings.autovacuum_threshold if table.threshold is None else table.threshold
    comes_at = base + factor * table.rows
    if settings.autovacuum_max_threshold is not None:
        comes_at = min(comes_at, settings.autovacuum_max_threshold)
    text = (
        f"{base} + {factor:g} x {count_text(table.rows)} rows = {count_text(round(comes_at))} dead "
        "rows before it is vacuumed"
    )
    # A tenth more is no reason to change a table that is set already.
    fine = comes_at <= 1.1 * max(_MOST_DEAD_ROWS, _LEAST_SCALE_FACTOR * table.rows) + base
    advised = max(_LEAST_SCALE_FACTOR, float(f"{_MOST_DEAD_ROWS / table.rows:.1g}"))
    return SettingAdvice(
        name,
        f"scale_factor {factor:g}",
        None if fine else f"autovacuum_vacuum_scale_factor = {advised:g}",
        OK if fine else CHANGE,
        text,
        _AUTOVACUUM,
    )


def _no_memory(setting: str, now: int, source: str) -> SettingAdvice:
    text = "the memory of the server's machine is not known"
    return SettingAdvice(setting, size_text(now), None, UNKNOWN, text, source)


def _mib(size: int) -> str:
    """As postgresql.conf has it."""
    return f"{size // 1024**2}MB"

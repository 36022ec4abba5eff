# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a replica uses of its machine, as percentages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .indicators import CPU, MEMORY, Indicator, Thresholds, measured

WINDOW_S = (5.0, 900.0)
_SAME_START_S = 2.0
# Until then starting up is most of what a replica did, and that is not its load.
LEAST_UPTIME_S = 60.0


@dataclass(frozen=True)
class UsageReading:
    """One reading of a replica's usage; the fields are those of a platform driver's Usage.

    `taken_at` is in seconds since the epoch.
    """

    taken_at: float
    memory_bytes: float | None = None
    memory_limit_bytes: float | None = None
    cpu_seconds: float | None = None
    uptime_s: float | None = None
    cpu_percent: float | None = None
    cpu_window_s: float | None = None
    cpu_limit_cores: float | None = None

    @classmethod
    def of(cls, usage: dict[str, Any], taken_at: float) -> UsageReading:
        return cls(taken_at=taken_at, **usage)

    def is_same_start(self, other: UsageReading) -> bool:
        """Whether both readings are of one life of the replica, not before and after a restart."""
        if self.uptime_s is None or other.uptime_s is None:
            return False
        started = self.taken_at - self.uptime_s
        return abs(started - (other.taken_at - other.uptime_s)) < _SAME_START_S


def memory(reading: UsageReading | None, thresholds: Thresholds) -> Indicator:
    """Memory in percent of its limit."""
    limit = thresholds.memory_percent
    if reading is None or reading.memory_bytes is None:
        return Indicator(MEMORY, limit, said="no usage was handed over", source="usage")
    if not reading.memory_limit_bytes:
        return Indicator(MEMORY, limit, said="nothing limits its memory", source="usage")
    percent = 100 * reading.memory_bytes / reading.memory_limit_bytes
    return measured(MEMORY, [percent], limit, "usage")


def cpu(
    reading: UsageReading | None, before: UsageReading | None, thresholds: Thresholds
) -> tuple[Indicator, str | None]:
    """CPU in percent of its limit, else of one core, and the time that it is averaged over, in words.

    The average is the one that the platform watched; else it runs since the reading before, when
    that is of the same life of the replica and 5 s to 15 min old; else since the replica's start,
    once that is a minute ago.
    """
    limit = thresholds.cpu_percent
    cores = (reading.cpu_limit_cores if reading else None) or 1
    if reading is not None and reading.cpu_percent is not None:
        basis = f"last {reading.cpu_window_s:.1f} s" if reading.cpu_window_s else "as watched"
        return measured(CPU, [reading.cpu_percent], limit, "usage"), basis
    if reading is None or reading.cpu_seconds is None or not reading.uptime_s:
        return Indicator(CPU, limit, said="no usage was handed over", source="usage"), None
    if before is not None and before.cpu_seconds is not None and before.is_same_start(reading):
        window_s = reading.taken_at - before.taken_at
        used_s = reading.cpu_seconds - before.cpu_seconds
        if WINDOW_S[0] <= window_s <= WINDOW_S[1] and used_s >= 0:
            indicator = measured(CPU, [100 * used_s / window_s / cores], limit, "usage")
            return indicator, f"last {window_s:.0f} s"
    if reading.uptime_s < LEAST_UPTIME_S:
        said = f"it runs for {reading.uptime_s:.0f} s only, and starting up is not its load"
        return Indicator(CPU, limit, said=said, source="usage"), None
    percent = 100 * reading.cpu_seconds / reading.uptime_s / cores
    return measured(CPU, [percent], limit, "usage"), "since start"

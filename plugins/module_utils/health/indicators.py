# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guide's five key health indicators and their thresholds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..core.errors import Reason
from .report_body import CACHE, DATABASE
from .verdict import Verdict

API = "api"
MEMORY = "memory"
CPU = "cpu"
INDICATORS = (API, DATABASE, CACHE, MEMORY, CPU)


@dataclass(frozen=True)
class Thresholds:
    """Limits that a healthy agent stays below: the guide, "Key Health Indicators".

    Latencies in ms; memory in percent of its limit; CPU in percent of one core, averaged over
    the window.
    """

    api_ms: float = 100
    database_ms: float = 50
    cache_ms: float = 10
    memory_percent: float = 80
    cpu_percent: float = 70

    def of(self, indicator: str) -> float:
        limits = {
            API: self.api_ms,
            DATABASE: self.database_ms,
            CACHE: self.cache_ms,
            MEMORY: self.memory_percent,
            CPU: self.cpu_percent,
        }
        return limits[indicator]


def unit_of(indicator: str) -> str:
    """`%` or `ms`."""
    return "%" if indicator in (MEMORY, CPU) else "ms"


@dataclass(frozen=True)
class Indicator:
    """One indicator's samples and what they mean.

    `verdict` is None where the indicator was not measured, which `said` explains; such an
    indicator counts neither for nor against anything. `source` is `agent`, `direct` (probed
    from here), or `usage`.
    """

    name: str
    limit: float
    values: tuple[float, ...] = ()
    verdict: Verdict | None = None
    said: str = ""
    reason: Reason | None = None
    next_step: str = ""
    source: str = "agent"

    @property
    def p50(self) -> float | None:
        return percentile(self.values, 50)

    @property
    def p95(self) -> float | None:
        return percentile(self.values, 95)

    def figures(self) -> dict[str, Any]:
        """p50, p95 and verdict, and what was said; figures rounded to 1 µs or 0.001 %."""
        p50, p95 = self.p50, self.p95
        figures: dict[str, Any] = {
            "p50": None if p50 is None else round(p50, 3),
            "p95": None if p95 is None else round(p95, 3),
            "verdict": self.verdict.value if self.verdict else None,
        }
        if self.said:
            figures["said"] = self.said
        if self.reason:
            figures["reason"] = self.reason.value
        return figures

    def as_dict(self) -> dict[str, Any]:
        """All that a result tells of it."""
        described = {"limit": self.limit, "unit": unit_of(self.name), "source": self.source}
        return {**described, "said": "", "reason": None, **self.figures()}


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The nearest-rank percentile: the smallest value with `percent` % of all at or below it.

    Hyndman and Fan's definition 1 (The American Statistician 50/4, 1996). It is always a value
    that was measured, and with few samples the p95 is the slowest of them.
    """
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def measured(name: str, values: Sequence[float], limit: float, source: str) -> Indicator:
    """Judge measurements: healthy while their p95 is below the limit (the guide says `<`)."""
    p95 = percentile(values, 95)
    if p95 is None or p95 < limit:
        return Indicator(name, limit, tuple(values), Verdict.HEALTHY, source=source)
    said = f"p95 is {show(p95, name)}, not below {show(limit, name)}"
    return Indicator(name, limit, tuple(values), Verdict.DEGRADED, said, source=source)


def show(value: float | None, indicator: str) -> str:
    """A figure as people read it: `3.1 ms`, `0.04 ms`, `100 ms`, `22 %`."""
    if value is None:
        return "-"
    unit = unit_of(indicator)
    if unit == "%" or value >= 10 or value == int(value):
        return f"{value:.0f} {unit}"
    return f"{value:.1f} {unit}" if value >= 0.1 else f"{value:.2f} {unit}"

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures of one load: how many were answered, and how late."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from ...health import percentile

# Where the chart has a point; closer together towards the slow end, which is what users notice.
_PERCENTS = (0, 10, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 92.5, 95, 97, 98, 99, 99.5, 99.9, 99.99)


@dataclass(frozen=True)
class Outcome:
    """One request: its number, and how it ended.

    `latency_ms` runs from when it was due to the last byte of the answer; None for one that
    failed, as `failure` says.
    """

    number: int
    latency_ms: float | None
    failure: str = ""


@dataclass(frozen=True)
class Figures:
    """What one load showed; the latencies, in ms, are of the requests that were answered.

    They are nearest-rank percentiles over all replicas, None where nothing was answered.
    `distribution` has further ones: percent and ms. `answers_a_second` counts until the last one.
    `sent_late_ms` is the most that this side was behind its own schedule. `cut_short` says why the
    load was ended early; empty when it was not.
    """

    path: str
    rate: float
    duration_s: float
    warm_up_s: float
    replicas: int
    taken_at: str
    requests: int
    failed: int
    failures: dict[str, int]
    answers_a_second: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    most_connections_in_use: int | None
    sent_late_ms: float
    cut_short: str
    distribution: list[list[float]] = field(default_factory=list)

    @property
    def answered(self) -> int:
        return self.requests - self.failed

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as the result's state has them."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Figures:
        """The figures in a result's state; KeyError, TypeError or ValueError for another one."""
        numbers: dict[str, Any] = {name: float(state[name]) for name in _FLOATS}
        numbers.update((name, _optional(state[name], float)) for name in _LATENCIES)
        return cls(
            path=str(state["path"]),
            replicas=int(state["replicas"]),
            taken_at=str(state["taken_at"]),
            requests=int(state["requests"]),
            failed=int(state["failed"]),
            failures={str(kind): int(count) for kind, count in dict(state["failures"]).items()},
            most_connections_in_use=_optional(state["most_connections_in_use"], int),
            cut_short=str(state["cut_short"]),
            distribution=[[float(percent), float(ms)] for percent, ms in state["distribution"]],
            **numbers,
        )


_FLOATS = ("rate", "duration_s", "warm_up_s", "answers_a_second", "sent_late_ms")
_LATENCIES = ("p50_ms", "p95_ms", "p99_ms", "max_ms")


def _optional(value: Any, kind: type) -> Any:
    return None if value is None else kind(value)


def counted(outcomes: Sequence[Outcome], warm_up_requests: int) -> list[Outcome]:
    """Those after the warm-up; all of them where the load did not get that far."""
    return [each for each in outcomes if each.number >= warm_up_requests] or list(outcomes)


def latency_figures(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The latencies and failures of these outcomes, by the names that `Figures` has for them."""
    latencies = sorted(each.latency_ms for each in outcomes if each.latency_ms is not None)
    failures = Counter(each.failure for each in outcomes if each.latency_ms is None)
    return {
        "requests": len(outcomes),
        "failed": sum(failures.values()),
        "failures": dict(failures.most_common()),
        "p50_ms": _rounded(percentile(latencies, 50)),
        "p95_ms": _rounded(percentile(latencies, 95)),
        "p99_ms": _rounded(percentile(latencies, 99)),
        "max_ms": _rounded(percentile(latencies, 100)),
        "distribution": distribution(latencies),
    }


def distribution(latencies: Sequence[float]) -> list[list[float]]:
    """Percents and the latency at each of them, as far as so many samples tell them apart.

    The p99 of 50 samples would be the slowest of them, whatever the 99th of a hundred had been.
    """
    count = len(latencies)
    # In whole requests: 100 - 99.9 is not quite 0.1.
    told = [percent for percent in _PERCENTS if round((100 - percent) * count, 6) >= 100]
    return [[percent, round(percentile(latencies, percent) or 0.0, 3)] for percent in told]


def _rounded(latency_ms: float | None) -> float | None:
    return None if latency_ms is None else round(latency_ms, 3)


def answers_a_second(answered: int, duration_s: float, took_s: float) -> float:
    """Answers by the time they took; no more than were asked for, however fast the last ones were.

    `took_s` ends at the last answer.
    """
    span_s = max(duration_s, took_s)
    return round(answered / span_s, 2) if span_s > 0 and math.isfinite(span_s) else 0.0

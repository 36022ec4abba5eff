# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the agent's metrics tell of its connection pool: Prometheus text in, figures out. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

DEFAULT_PREFIX = "cost_agent_pool"
_SAMPLE = re.compile(r"([A-Za-z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?\s*\Z")
_BOUND = re.compile(r'(?:\A|,)\s*le="([^"]*)"')


@dataclass(frozen=True)
class Histogram:
    """Counts by upper bound, cumulative as Prometheus has them, the last bound infinite."""

    count: float = 0.0
    sum_s: float = 0.0
    buckets: tuple[tuple[float, float], ...] = ()

    @property
    def mean_s(self) -> float | None:
        return self.sum_s / self.count if self.count else None

    def minus(self, earlier: Histogram) -> Histogram:
        """What was added since."""
        before = dict(earlier.buckets)
        return Histogram(
            self.count - earlier.count,
            self.sum_s - earlier.sum_s,
            tuple((bound, number - before.get(bound, 0.0)) for bound, number in self.buckets),
        )

    def quantile(self, share: float) -> float | None:
        """Seconds that the share of all stays below, interpolated within its bucket.

        As Prometheus's histogram_quantile: beyond the last finite bound it is that bound.
        """
        if not self.buckets or not self.count:
            return None
        rank = share * self.buckets[-1][1]
        below, lower = 0.0, 0.0
        for bound, number in self.buckets:
            if number >= rank:
                if math.isinf(bound):
                    return lower
                inside = number - below
                return bound if not inside else lower + (bound - lower) * (rank - below) / inside
            below, lower = number, bound
        return lower


@dataclass(frozen=True)
class PoolMetrics:
    """One scrape of one worker. `held` counts connections that were given back.

    `started_at` (seconds since the epoch) tells workers apart and restarts from pauses; `wait` is
    None where the agent does not measure it.
    """

    started_at: float | None
    held: Histogram
    wait: Histogram | None
    timeouts: float | None


def read_pool_metrics(text: str, prefix: str = DEFAULT_PREFIX) -> PoolMetrics | None:
    """The pool in a scrape; None where it does not tell how long connections are held.

    Of series with labels the sum is taken. Names follow the conventions of Prometheus:
    `<prefix>_held_seconds` and `<prefix>_wait_seconds` are histograms,
    `<prefix>_timeouts_total` counts.
    """
    numbers: dict[str, float] = {}
    buckets: dict[str, dict[float, float]] = {}
    wanted = f"{prefix}_"
    for name, labels, value in _samples(text):
        if name == "process_start_time_seconds":
            numbers[name] = value
        elif name.startswith(wanted) and name.endswith("_bucket"):
            bound = _BOUND.search(labels)
            if bound:
                counts = buckets.setdefault(name[: -len("_bucket")], {})
                key = float(bound.group(1).replace("+Inf", "inf"))
                counts[key] = counts.get(key, 0.0) + value
        elif name.startswith(wanted):
            numbers[name] = numbers.get(name, 0.0) + value
    held = _histogram(f"{prefix}_held_seconds", numbers, buckets)
    if held is None:
        return None
    return PoolMetrics(
        started_at=numbers.get("process_start_time_seconds"),
        held=held,
        wait=_histogram(f"{prefix}_wait_seconds", numbers, buckets),
        timeouts=numbers.get(f"{prefix}_timeouts_total"),
    )


def _samples(text: str) -> Iterator[tuple[str, str, float]]:
    for line in text.splitlines():
        match = None if line.startswith("#") else _SAMPLE.match(line)
        if match is None:
            continue
        try:
            value = float(match.group(3))
        except ValueError:
            continue
        yield match.group(1), match.group(2) or "", value


def _histogram(
    name: str, numbers: dict[str, float], buckets: dict[str, dict[float, float]]
) -> Histogram | None:
    count, sum_s = numbers.get(f"{name}_count"), numbers.get(f"{name}_sum")
    if count is None or sum_s is None:
        return None
    return Histogram(count, sum_s, tuple(sorted(buckets.get(name, {}).items())))

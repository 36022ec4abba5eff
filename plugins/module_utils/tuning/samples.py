# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was measured of pools, and whether it is enough to go by. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..core.readable import duration_text
from .metrics import Histogram, PoolMetrics
from .queueing import offered_load

# The relative standard error of a rate and of a mean is about 1 / sqrt(n): 3 % here, so that the
# load is known to within 10 % with a confidence of 95 % (for holding times spread as an
# exponential distribution).
FEWEST_CHECKOUTS = 1000
# A shorter look sees one burst, or none.
SHORTEST_SPAN_S = 60.0


@dataclass(frozen=True)
class Workload:
    """One worker's pool over a span of time, measured by its own metrics.

    `timeouts` and `wait` are None where the agent does not tell them.
    """

    replica: str
    span_s: float
    held: Histogram
    wait: Histogram | None = None
    timeouts: float | None = None

    @property
    def checkouts(self) -> int:
        return round(self.held.count)

    @property
    def arrivals_per_s(self) -> float:
        """Requests for a connection, those that waited in vain included."""
        return (self.held.count + (self.timeouts or 0)) / self.span_s

    @property
    def load(self) -> float:
        """Connections that would be in use on average, in Erlang."""
        return offered_load(self.arrivals_per_s, self.held.mean_s or 0.0)

    def missing(self) -> list[str]:
        """What this lacks to be gone by, in sentences; nothing where it is enough."""
        lacks = []
        if self.checkouts < FEWEST_CHECKOUTS:
            lacks.append(
                f"{self.replica} gave back {self.checkouts} of the {FEWEST_CHECKOUTS} connections "
                f"that are needed, in {duration_text(self.span_s)}"
            )
        if self.span_s < SHORTEST_SPAN_S:
            lacks.append(
                f"{self.replica} was measured for {duration_text(self.span_s)}, and "
                f"{SHORTEST_SPAN_S:.0f} s are needed"
            )
        return lacks

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as results show them; times in seconds."""
        return {
            "replica": self.replica,
            "span_s": round(self.span_s, 3),
            "checkouts": self.checkouts,
            "arrivals_per_s": round(self.arrivals_per_s, 4),
            "held_mean_s": self.held.mean_s,
            "held_p99_s": self.held.quantile(0.99),
            "wait_p99_s": self.wait.quantile(0.99) if self.wait else None,
            "timeouts": None if self.timeouts is None else round(self.timeouts),
            "load": round(self.load, 4),
        }


def since_start(replica: str, metrics: PoolMetrics, now: float) -> Workload | None:
    """Everything since the worker started; `now` by the replica's clock, None without a start."""
    if metrics.started_at is None or now <= metrics.started_at:
        return None
    span_s = now - metrics.started_at
    return Workload(replica, span_s, metrics.held, metrics.wait, metrics.timeouts)


def between(
    replica: str, before: PoolMetrics, after: PoolMetrics, span_s: float
) -> Workload | None:
    """What happened between two scrapes; None where two workers answered, or one restarted."""
    if before.started_at != after.started_at or after.held.count < before.held.count:
        return None
    wait = timeouts = None
    if after.wait is not None and before.wait is not None:
        wait = after.wait.minus(before.wait)
    if after.timeouts is not None and before.timeouts is not None:
        timeouts = after.timeouts - before.timeouts
    return Workload(replica, span_s, after.held.minus(before.held), wait, timeouts)

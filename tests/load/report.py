# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a load has found."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Failure:
    """One request that failed: when it was due (seconds since the epoch), how, and on what."""

    at: float
    kind: str
    kept_alive: bool


@dataclass(frozen=True)
class Report:
    """The figures of a load; latencies count from when a request was due, not from when sent."""

    sent: int
    failed: int
    retried: int
    """Sent once more on a new connection: the server had closed the kept one before it answered."""
    kept_alive: int
    """How many of them were to go on a connection that was kept."""
    connections: int
    seconds: float
    rate: float
    """Requests a second, as achieved."""
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    latest_ms: float
    """The most that the generator itself was behind its own clock."""
    kinds: dict[str, int]
    failures: tuple[Failure, ...]

    def as_json(self) -> str:
        return json.dumps(asdict(self))

    def __str__(self) -> str:
        failures = "".join(f", {count} x {kind}" for kind, count in self.kinds.items())
        return (
            f"{self.failed} of {self.sent} failed{failures}; {self.rate:.0f}/s for "
            f"{self.seconds:.0f} s, {self.kept_alive} on kept connections, {self.connections} "
            f"connections, {self.retried} retried; p50 {self.p50_ms:.1f} p95 {self.p95_ms:.1f} "
            f"p99 {self.p99_ms:.1f} max {self.max_ms:.0f} ms"
        )


def percentile(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank percentile of sorted values; 0 for none."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def count_kinds(failures: Sequence[Failure]) -> dict[str, int]:
    """How many failures there were of each kind, the most frequent first."""
    return dict(Counter(failure.kind for failure in failures).most_common())

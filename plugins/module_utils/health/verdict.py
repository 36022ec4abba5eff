# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an observer may conclude, and how conclusions combine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from ..core.errors import Reason


class Verdict(str, Enum):
    """The state of something as the observer knows it; unknown means it could not see."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    DOWN = "down"
    UNKNOWN = "unknown"

    @property
    def is_bad(self) -> bool:
        """Whether this is knowledge of a fault, which unknown is not."""
        return self in (Verdict.DEGRADED, Verdict.DOWN)


@dataclass(frozen=True)
class Finding:
    """A verdict with its grounds: what was seen and what to do next, in words.

    `said` continues the name of what was observed ("database ..."), so it starts with a verb.
    `reason` is set where an error, not a measurement, led to the verdict.
    """

    verdict: Verdict
    said: str
    next_step: str = ""
    reason: Reason | None = None


_BY_SEVERITY = (Verdict.DOWN, Verdict.DEGRADED, Verdict.UNKNOWN, Verdict.HEALTHY)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Known faults first, then what could not be seen; unknown when there is nothing."""
    seen = set(verdicts)
    return next((verdict for verdict in _BY_SEVERITY if verdict in seen), Verdict.UNKNOWN)


def combine(members: Iterable[Verdict]) -> Verdict:
    """The verdict on a whole whose members can stand in for each other.

    Kleene's three-valued logic: all down is down; any known fault makes it degraded, whatever
    else could not be seen; without one, any unknown leaves the whole unknown.
    """
    verdicts = list(members)
    if verdicts and all(verdict is Verdict.DOWN for verdict in verdicts):
        return Verdict.DOWN
    if any(verdict.is_bad for verdict in verdicts):
        return Verdict.DEGRADED
    return worst(verdicts)

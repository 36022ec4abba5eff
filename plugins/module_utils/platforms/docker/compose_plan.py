# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the containers of a compose service to the wanted ones, one at a time.

Compose names containers itself, and a new one never by the name of one that it replaces. So the
plan is about how many run what, and finds out the names on the way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

from ...core.context import Context
from ...core.deadline import Deadline
from ..agent_options import Limits
from ..converge import Convergence, Wave
from ..protocol import STARTED, Goal, Replica, ReplicaDriver, Report, Specification


class ScalingDriver(ReplicaDriver, Protocol):
    """A driver whose platform starts replicas under names of its own."""

    def clear_away(self) -> list[str]:
        """Remove what has ended and would be started again as it was; the names."""

    def bring_up(
        self, count: int, specification: Specification, deadline: Deadline, context: Context
    ) -> list[str]:
        """Start what is missing of a count, and return the names of what is new."""


class ComposePlan:
    """The way to a goal; `seen` are the replicas that there are."""

    def __init__(self, driver: ScalingDriver, goal: Goal) -> None:
        self._driver = driver
        self._goal = goal
        self.seen = driver.observe([], goal.specification)
        alive = [replica for replica in self.seen if replica.is_alive]
        wanted = goal.intent.replicas if goal.intent.state == STARTED else 0
        # What is to go first: what is outdated, then what serves not, then the newest.
        ordered = sorted(alive, key=lambda r: (self._is_stale(r), r.status != "ready"))
        self._surplus = ordered[wanted:]
        kept = ordered[:wanted]
        self._missing = wanted - len(kept)
        stale = sorted((r for r in kept if self._is_stale(r)), key=lambda r: r.status == "ready")
        self._replaced = stale
        self._unready = [r for r in kept if r not in stale and r.status != "ready"]
        self._looping = [replica for replica in self.seen if not replica.is_alive]
        if goal.canary:
            self._narrow_to_canary(alive)

    def _is_stale(self, replica: Replica) -> bool:
        return self._goal.replace_all or not replica.up_to_date

    def _narrow_to_canary(self, alive: Sequence[Replica]) -> None:
        is_there = len(alive) < 2 or any(replica.up_to_date for replica in alive)
        self._replaced = [] if is_there else self._replaced[:1]
        self._surplus, self._looping, self._missing = [], [], 0

    @property
    def changes(self) -> bool:
        return bool(self._missing or self._replaced or self._surplus or self._looping)

    def foretold(self) -> list[str]:
        release = self._release
        told = [f"Would remove {r.name}, which ends again and again" for r in self._looping]
        if self._missing:
            told.append(f"Would start {self._missing} of release {release}")
        told += [
            f"Would replace {r.name} by one of release {release}" + (f" ({r.note})" * bool(r.note))
            for r in self._replaced
        ]
        return told + [f"Would stop {replica.name}" for replica in self._surplus]

    def shown(self, replicas: Sequence[Replica]) -> dict[str, Any]:
        return dict(Counter(f"{r.status} {r.release}" for r in replicas if r.is_alive))

    def expected(self) -> dict[str, Any]:
        gone = [*self._replaced, *self._surplus]
        kept = Counter(f"ready {r.release}" for r in self.seen if r.is_alive and r not in gone)
        new = len(self._replaced) + self._missing
        return dict(kept + Counter({f"ready {self._release}": new}))

    @property
    def _release(self) -> str | None:
        return self._goal.specification.release if self._goal.specification else None

    def carry_out(
        self, limits: Limits, deadline: Deadline, context: Context, report: Report
    ) -> None:
        specification = self._goal.specification

        def carry(wave: Wave) -> None:
            seen = {replica.name for replica in self._driver.observe([], None)}
            names = sorted(seen.union(wave.ready))  # also what has ended since it was started
            Convergence(
                self._driver, names, specification, limits, deadline, context, report
            ).carry_out([wave])

        if self._looping:
            carry(Wave(stop=_names(self._looping)))
        if specification is not None:
            serving = len(self.seen) - len(self._looping)
            self._start(serving + self._missing, bool(self._missing), carry, deadline, context)
            for replica in self._replaced:
                carry(Wave(stop=(replica.name,)))
                self._count_ready(report)
                self._start(serving + self._missing, True, carry, deadline, context)
            if self._unready:
                carry(Wave(ready=_names(self._unready)))
        if self._surplus:
            carry(Wave(stop=_names(self._surplus)))

    def _start(
        self, count: int, is_needed: bool, carry: Any, deadline: Deadline, context: Context
    ) -> None:
        if not is_needed or self._goal.specification is None:
            return
        self._driver.clear_away()
        new = self._driver.bring_up(count, self._goal.specification, deadline, context)
        carry(Wave(ready=tuple(new)))

    def _count_ready(self, report: Report) -> None:
        seen = self._driver.observe([], self._goal.specification)
        ready = sum(replica.status == "ready" for replica in seen)
        lowest = report.lowest_ready
        report.lowest_ready = ready if lowest is None else min(lowest, ready)


def _names(replicas: Sequence[Replica]) -> tuple[str, ...]:
    return tuple(replica.name for replica in replicas)

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pool that a measured workload needs, with its arithmetic. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..core.readable import duration_text, number_text
from .budget import Budget
from .pool_settings import PoolSettings
from .queueing import WAITING_SHARE, connections_needed, erlang_c
from .samples import Workload

# For bursts that are no Poisson process, and for what was not seen yet.
HEAD_ROOM_PERCENT = 20.0


@dataclass(frozen=True)
class Machine:
    """What the database's machine can do at once; None where nobody told."""

    cores: int | None = None
    spindles: int = 1

    @property
    def most_active(self) -> int | None:
        """Active connections beyond which throughput falls.

        PostgreSQL's wiki, Number Of Database Connections: `(core_count * 2) +
        effective_spindle_count`.
        """
        return None if self.cores is None else self.cores * 2 + self.spindles


@dataclass(frozen=True)
class Advice:
    """`pool` is None where too little was measured; `missing` says what.

    `needed` is without head room; `steps` are the arithmetic, `warnings` what stands against it.
    """

    pool: PoolSettings | None = None
    needed: int | None = None
    steps: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as results show them."""
        return {
            "pool": self.pool.as_dict() if self.pool else None,
            "needed": self.needed,
            "steps": list(self.steps),
            "missing": list(self.missing),
            "warnings": list(self.warnings),
        }


def advise(
    workloads: Sequence[Workload],
    present: PoolSettings,
    budget: Budget | None,
    machine: Machine,
    head_room_percent: float = HEAD_ROOM_PERCENT,
    unmeasured: Sequence[str] = (),
) -> Advice:
    """What the busiest of these pools needs; nothing where none was measured for long enough.

    `unmeasured` says, in sentences, of which pools nothing is known.
    """
    enough = [each for each in workloads if not each.missing()]
    if not enough:
        nearest = max(workloads, key=lambda each: each.checkouts, default=None)
        lacks = nearest.missing() if nearest else []
        return Advice(missing=(*lacks, *unmeasured) or ("no replica runs to be measured",))
    busiest = max(enough, key=lambda each: each.load)
    needed = connections_needed(busiest.load)
    with_head_room = max(needed + 1, math.ceil(needed * (1 + head_room_percent / 100) - 1e-9))
    pool = replace(present, size=needed, max_overflow=with_head_room - needed)
    steps = _steps(busiest, needed, with_head_room, head_room_percent, pool)
    warnings = _warnings(busiest, workloads)
    if budget is not None:
        demand = replace(budget.demand, pool=pool)
        steps.append(
            f"At the ceiling: {demand.factors} x ({pool.text}) = {demand.pools * with_head_room}"
        )
        warnings += _budget_warnings(budget, with_head_room)
        warnings += _machine_warnings(machine, demand.pools, busiest.load)
    missing = list(unmeasured)
    if machine.cores is None:
        missing.append("the cores of the database's machine, to check against its ceiling")
    return Advice(pool, needed, tuple(steps), tuple(missing), tuple(warnings))


def _steps(
    busiest: Workload, needed: int, most: int, head_room_percent: float, pool: PoolSettings
) -> list[str]:
    load = busiest.load
    mean_ms = (busiest.held.mean_s or 0.0) * 1000
    rate = number_text(busiest.arrivals_per_s)
    p99_s = busiest.held.quantile(0.99)
    p99 = "" if p99_s is None else f", 99 % of them for no more than {number_text(p99_s * 1000)} ms"
    waiting = f"with {needed} of them {100 * erlang_c(needed, load):.2g} % of requests wait"
    if needed > 1:
        fewer = 100 * erlang_c(needed - 1, load)
        waiting += f", with {needed - 1} it would be {fewer:.2g} %"
    return [
        f"Measured: {busiest.replica}, the busiest, was asked for {rate} connections a second over "
        f"{duration_text(busiest.span_s)}; each was held for {number_text(mean_ms)} ms on "
        f"average{p99}",
        f"Little's law: {rate}/s x {number_text(mean_ms / 1000)} s = {number_text(load)} in use on "
        "average",
        f"Erlang C: {waiting}; so {needed} for {100 * (1 - WAITING_SHARE):g} % to find one free",
        f"Head room of {head_room_percent:g} %: {needed} x {1 + head_room_percent / 100:g}, so "
        f"{most} in all: pool_size {pool.size} and max_overflow {pool.max_overflow}",
    ]


def _warnings(busiest: Workload, workloads: Sequence[Workload]) -> list[str]:
    found = []
    timeouts = sum(each.timeouts or 0 for each in workloads)
    if timeouts:
        found.append(
            f"{timeouts:.0f} requests waited for a connection in vain: the load is more than what "
            "was answered, and the advice a lower bound"
        )
    wait_p99 = busiest.wait.quantile(0.99) if busiest.wait else None
    held = busiest.held.mean_s or 0.0
    if wait_p99 is not None and held and wait_p99 > held:
        found.append(
            f"1 % of requests waited {number_text(wait_p99 * 1000)} ms and longer: the pool of "
            "today is too small, or the database too slow"
        )
    return found


def _budget_warnings(budget: Budget, most: int) -> list[str]:
    largest = budget.fit.pool_size_alone
    if largest is not None and most <= largest:
        return []
    room = "none" if largest is None else f"{largest} a worker"
    return [
        f"The budget has room for {room}: raise max_connections, lower the ceiling of replicas, "
        "or put a PgBouncer in transaction mode in between"
    ]


def _machine_warnings(machine: Machine, pools: int, load: float) -> list[str]:
    most = machine.most_active
    if most is None or pools * load <= most:
        return []
    return [
        f"At the ceiling {number_text(pools * load)} connections would be active on average, and "
        f"beyond {machine.cores} cores x 2 + {machine.spindles} = {most} more of them make the "
        "server slower, not faster: a wait in the pool costs less"
    ]

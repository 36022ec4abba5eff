# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Advice from what an agent's metrics tell, against the right size known by queueing theory."""

from __future__ import annotations

import heapq
import random
from bisect import bisect_left

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.advice import (
    Advice,
    Machine,
    advise,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.budget import (
    Demand,
    Limits,
    Others,
    make_budget,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.metrics import (
    read_pool_metrics,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.pool_settings import (
    PoolSettings,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.samples import (
    Workload,
    between,
)

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
GUIDE = PoolSettings()
MACHINE = Machine(cores=4)
# Arrivals a second, mean time held in seconds, and the fewest connections with which no more than
# 1 % of requests wait in an M/M/c queue, by its stationary distribution.
KNOWN = [
    (5, 0.01, 2),
    (10, 0.01, 2),
    (50, 0.01, 4),
    (20, 0.05, 5),
    (100, 0.02, 7),
    (60, 0.05, 9),
    (100, 0.05, 12),
    (200, 0.04, 16),
    (100, 0.1, 19),
    (150, 0.1, 26),
    (400, 0.05, 32),
    (300, 0.1, 45),
    (500, 0.1, 68),
]


class Replica:
    """An M/M/c queue in simulated time that keeps its metrics as the agent does."""

    def __init__(self, arrivals_per_s: float, held_s: float, connections: int) -> None:
        self._random = random.Random(f"{arrivals_per_s} {held_s}")
        self._rate = arrivals_per_s
        self._held_s = held_s
        self._free_at = [0.0] * connections
        self._arrived = 0.0
        self._held: list[float] = []
        self._waits: list[float] = []

    def run(self, requests: int) -> float:
        """Serve so many; how long that was."""
        begun = self._arrived
        for _number in range(requests):
            self._arrived += self._random.expovariate(self._rate)
            start = max(self._arrived, heapq.heappop(self._free_at))
            held = self._random.expovariate(1 / self._held_s)
            heapq.heappush(self._free_at, start + held)
            self._held.append(held)
            self._waits.append(start - self._arrived)
        return self._arrived - begun

    def metrics(self) -> str:
        lines = ["process_start_time_seconds 1.7e9", "cost_agent_pool_timeouts_total 0.0"]
        for name, values in (("held", self._held), ("wait", self._waits)):
            ordered, family = sorted(values), f"cost_agent_pool_{name}_seconds"
            for bound in BOUNDS:
                below = bisect_left(ordered, bound)
                lines.append(f'{family}_bucket{{le="{bound}"}} {below}')
            lines.append(f'{family}_bucket{{le="+Inf"}} {len(values)}')
            lines += [f"{family}_count {len(values)}", f"{family}_sum {sum(values)}"]
        return "\n".join(lines)


def measured(arrivals_per_s: float, held_s: float, connections: int = 100) -> Workload:
    """What two scrapes of such a replica tell."""
    replica = Replica(arrivals_per_s, held_s, connections)
    replica.run(100)
    before = read_pool_metrics(replica.metrics())
    # As long as a look of some minutes; never less than what is enough.
    span_s = replica.run(max(5000, round(arrivals_per_s * 120)))
    after = read_pool_metrics(replica.metrics())
    assert before is not None
    assert after is not None
    workload = between("cost-agent-8001", before, after, span_s)
    assert workload is not None
    return workload


def advice(*workloads: Workload, **changes: object) -> Advice:
    return advise(workloads, GUIDE, None, MACHINE, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("arrivals_per_s", "held_s", "known"), KNOWN)
def test_a_workload_gets_the_size_that_queueing_theory_knows(
    arrivals_per_s: float, held_s: float, known: int
) -> None:
    found = advice(measured(arrivals_per_s, held_s))
    assert found.needed is not None
    assert abs(found.needed - known) <= max(1, 0.1 * known)


def test_the_simulated_queue_waits_as_theory_says() -> None:
    # Of 5 Erlang, 16.7 % of requests wait with 8 connections; with 6, 58.8 %.
    for connections, share in ((8, 0.167), (6, 0.588)):
        replica = Replica(100, 0.05, connections)
        replica.run(100_000)
        waited = sum(wait > 0 for wait in replica._waits) / len(replica._waits)
        assert waited == pytest.approx(share, rel=0.1)


def test_the_arithmetic_is_told_step_by_step() -> None:
    found = advice(measured(100, 0.05))
    steps = " ".join(found.steps)
    assert found.pool == PoolSettings(12, 3, 30.0)
    for words in ("Little's law:", "Erlang C: with 12", "with 11", "Head room of 20 %: 12 x 1.2"):
        assert words in steps


def test_head_room_is_overflow_of_one_at_least() -> None:
    found = advice(measured(5, 0.01), head_room_percent=0)
    assert found.pool == PoolSettings(2, 1, 30.0)


def test_the_busiest_pool_decides() -> None:
    quiet, busy = measured(5, 0.01), measured(100, 0.05)
    assert advice(quiet, busy).needed == advice(busy).needed


@pytest.mark.parametrize(
    ("requests", "rate", "words"),
    [
        (999, 10.0, "gave back 999 of the 1000 connections"),
        (1200, 100.0, "and 60 s are needed"),
    ],
)
def test_too_few_samples_are_no_advice_but_told(requests: int, rate: float, words: str) -> None:
    replica = Replica(rate, 0.01, 20)
    before = read_pool_metrics(replica.metrics())
    span_s = replica.run(requests)
    after = read_pool_metrics(replica.metrics())
    assert before is not None
    assert after is not None
    workload = between("cost-agent-8001", before, after, span_s)
    assert workload is not None
    found = advice(workload)
    assert found.pool is None
    assert words in found.missing[0]


def test_nothing_measured_is_told() -> None:
    assert advice().missing == ("no replica runs to be measured",)
    assert advice(unmeasured=["x tells no metrics"]).missing == ("x tells no metrics",)


def test_requests_in_vain_count_as_arrivals_and_are_warned_of() -> None:
    calm = measured(100, 0.05)
    refused = Workload(calm.replica, calm.span_s, calm.held, calm.wait, timeouts=calm.checkouts)
    found = advice(refused)
    assert refused.load == pytest.approx(2 * calm.load)
    assert "in vain" in found.warnings[0]


def test_a_pool_that_is_too_small_is_seen_in_its_waits() -> None:
    found = advice(measured(100, 0.05, connections=6))
    assert any("too small" in warning for warning in found.warnings)


def budget_at(replicas: int, max_connections: int = 100):  # type: ignore[no-untyped-def]
    limits = Limits(max_connections=max_connections, superuser_reserved=3)
    return make_budget(Demand(replicas, GUIDE), Others(server=7), limits)


def test_advice_that_the_budget_has_no_room_for_says_so() -> None:
    found = advise([measured(100, 0.05)], GUIDE, budget_at(10), MACHINE)
    assert any("room for 9 a worker" in warning for warning in found.warnings)
    assert found.steps[-1] == "At the ceiling: 10 replicas x 1 worker x (12 + 3) = 150"


def test_more_active_connections_than_the_machine_serves_are_warned_of() -> None:
    found = advise([measured(100, 0.05)], GUIDE, budget_at(2, 1000), Machine(cores=2))
    assert any("2 cores x 2 + 1 = 5" in warning for warning in found.warnings)
    calm = advise([measured(100, 0.05)], GUIDE, budget_at(2, 1000), Machine(cores=16))
    assert calm.warnings == ()


def test_without_cores_the_check_is_missing_and_the_advice_is_not() -> None:
    found = advise([measured(100, 0.05)], GUIDE, None, Machine())
    assert found.pool is not None
    assert "cores of the database's machine" in found.missing[0]

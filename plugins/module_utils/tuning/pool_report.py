# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools, budget and advice as results show them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..core.readable import number_text
from ..core.result import Table
from .advice import Advice
from .budget import Budget
from .budget_report import budget_line, budget_state, budget_table
from .observation import AgentSeen
from .pool_settings import PoolSettings
from .report_lines import wrapped
from .samples import Workload
from .server_look import ServerSeen
from .sessions import session_table


@dataclass(frozen=True)
class PoolsSeen:
    """Everything that one run found out.

    `deployed` is the pool in the present environment, `weighed` the one of the budget; `basis` is
    a fingerprint of what the budget goes by.
    """

    agent: AgentSeen
    server: ServerSeen
    deployed: PoolSettings
    weighed: PoolSettings
    budget: Budget
    workloads: tuple[Workload, ...]
    advice: Advice
    basis: str

    def notes(self) -> list[str]:
        """What else there is to know, in sentences."""
        return [*self.server.notes, *self.budget.warnings, *differences(self)]


def differences(seen: PoolsSeen) -> list[str]:
    """Replicas that run other pools than each other, or than they were deployed with."""
    running = seen.agent.running()
    if len(running) > 1:
        told = ", ".join(f"{p.name} {p.running.text}" for p in seen.agent.pools if p.running)
        return [f"Replicas run with unequal pools: {told}"]
    if running and running[0] != seen.deployed:
        return [
            f"Replicas run with a pool of {running[0].text}, and the environment says "
            f"{seen.deployed.text}: restart them with restart.yml"
        ]
    return []


def state(seen: PoolsSeen) -> dict[str, Any]:
    """Plain values; documented in module connection_pool_info."""
    return {
        "ceiling": asdict(seen.agent.ceiling),
        "deployed": seen.deployed.as_dict(),
        "weighed": seen.weighed.as_dict(),
        "replicas": [pool.as_dict() for pool in seen.agent.pools],
        **seen.server.as_state(),
        "budget": budget_state(seen.budget),
        "basis": seen.basis,
        "workloads": [workload.as_dict() for workload in seen.workloads],
        "advice": seen.advice.as_dict(),
        "notes": seen.notes(),
    }


def summary(seen: PoolsSeen) -> str:
    """`pool 20 + 10; 300 + 14 others of 97 available: over by 217`, and what would do."""
    text = f"pool {seen.weighed.text}; {budget_line(seen.budget)}"
    advice = seen.advice
    if advice.pool is not None:
        return f"{text}; {advice.pool.text} would do for the load"
    return text


def tables(seen: PoolsSeen) -> list[Table]:
    """Budget, sessions, pools and advice, each 76 columns wide at the most."""
    tables = [budget_table(seen.budget)]
    if seen.server.groups:
        tables.append(session_table(seen.server.groups))
    if seen.agent.pools:
        tables.append(_pool_table(seen))
    lines = [*seen.advice.steps, *(f"! {each}" for each in seen.advice.warnings)]
    lines += [f"Missing: {each}" for each in seen.advice.missing]
    lines += [f"Note: {each}" for each in seen.notes()]
    if lines:
        tables.append(Table(["advice"], wrapped(lines)))
    return tables


def _pool_table(seen: PoolsSeen) -> Table:
    measured = {each.replica: each for each in seen.workloads}
    rows = []
    for pool in seen.agent.pools:
        workload = measured.get(pool.name)
        rows.append(
            [
                pool.name,
                pool.running.text if pool.running else "-",
                "-" if pool.in_use is None else str(pool.in_use),
                number_text(workload.arrivals_per_s) if workload else "-",
                _ms(workload.held.mean_s) if workload else "-",
                _ms(workload.wait.quantile(0.99)) if workload and workload.wait else "-",
                f"{workload.timeouts:.0f}" if workload and workload.timeouts is not None else "-",
            ]
        )
    return Table(["replica", "pool", "in use", "a second", "held", "wait p99", "in vain"], rows)


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{number_text(seconds * 1000)} ms"

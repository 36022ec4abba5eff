# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection budget as results show it, and the refusal that is made of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ..core.errors import OperationError, Reason
from ..core.result import Table
from .budget import ROLE, SERVER, Budget, Check


def budget_table(budget: Budget) -> Table:
    """The lines that add up, 76 columns wide at the most."""
    rows = [row.cells for row in budget.rows]
    if budget.demand.ceiling:
        rows.insert(1, ["", f"the ceiling is {budget.demand.ceiling}", ""])
    return Table(["connections of", "how many", "number"], rows)


def budget_state(budget: Budget) -> dict[str, Any]:
    """Plain values, for playbooks and records."""
    largest = budget.largest_pool
    return {
        "verdict": "within" if budget.within else "over",
        "demand": {
            **asdict(budget.demand),
            "pooled": budget.demand.pooled,
            "beside": budget.demand.beside,
        },
        "checks": [
            {**asdict(check), "over": check.over, "holds": check.holds} for check in budget.checks
        ],
        "fit": asdict(budget.fit),
        "largest_pool": largest.as_dict() if largest else None,
    }


def budget_line(budget: Budget) -> str:
    """`300 + 14 others of 97 available: over by 217`; of the tightest limit."""
    check = budget.tightest
    limit = "" if check.name == SERVER else f" ({check.name})"
    text = f"{_sum(check)} of {check.available} available{limit}"
    if check.asked is None:
        return f"{text}: over"
    if check.holds:
        return f"{text}: {check.available - check.asked} left"
    return f"{text}: over by {check.over}"


def _sum(check: Check) -> str:
    agent = "no bound" if check.agent is None else str(check.agent)
    beside = f" + {check.beside} beside its pools" if check.beside else ""
    return f"{agent}{beside} + {check.others} others"


def over_budget(budget: Budget, purpose: str, **details: Any) -> OperationError:
    """The refusal with the table, and everything that would fit instead."""
    check = budget.tightest
    limit = {SERVER: "that the server has for all", ROLE: "that the role may have"}
    seen = (
        f"at the ceiling, {budget.demand.factors} x ({budget.demand.pool.text}), "
        f"{_sum(check)} > {check.available} connections "
        f"{limit.get(check.name, f'of the {check.name}')}"
    )
    table = budget_table(budget)
    return OperationError(
        Reason.BUDGET,
        purpose,
        seen,
        next_steps(budget),
        tables=[vars(table)],
        summary=budget_line(budget),
        **details,
    )


def next_steps(budget: Budget) -> str:
    """What fits, in one sentence: the largest pool first."""
    fit, steps = budget.fit, []
    overflow = budget.demand.pool.max_overflow
    if fit.pool_size is not None:
        steps.append(f"set pool_size {fit.pool_size} with max_overflow {overflow}")
    elif fit.pool_size_alone is not None:
        steps.append(f"set pool_size {fit.pool_size_alone} with max_overflow 0")
    else:
        steps.append("no pool fits, not one of 1 + 0: make room first")
    if fit.replicas is not None and fit.replicas < budget.demand.replicas:
        steps.append(f"allow {fit.replicas} replicas at the most")
    if fit.max_connections is not None and budget.tightest.name == SERVER:
        steps.append(f"raise max_connections to {fit.max_connections}")
    steps.append("put a PgBouncer in transaction mode in between")
    text = ", ".join(steps) + ", or give allow_over_budget"
    if fit.pool_size is None and fit.pool_size_alone is not None and overflow >= 0:
        text = f"with max_overflow {overflow} no pool_size fits; {text}"
    return text[0].upper() + text[1:]

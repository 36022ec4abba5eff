# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was allowed to go over the budget: who asked, when, and with which figures."""

from __future__ import annotations

import getpass
from typing import Any

from ..core.context import Context
from ..core.history import History
from ..core.process_identity import this_machine
from ..core.readable import utc_text
from ..platforms import Agent
from .budget import Budget
from .budget_report import budget_line, budget_state

_KEEP_DAYS = 365


def record_overdraft(
    agent: Agent, budget: Budget, purpose: str, requested_by: str | None, context: Context
) -> str:
    """Keep it under `history/over_budget/<agent>`; the sentence that says so."""
    now = context.clock.now()
    by = requested_by or f"{_user()}@{this_machine().split('/')[0]}"
    record: dict[str, Any] = {
        "time": utc_text(now),
        "by": by,
        "purpose": purpose,
        "figures": budget_line(budget),
        "budget": budget_state(budget),
    }
    History(agent.store, f"history/over_budget/{agent.name}", _KEEP_DAYS).append(record, now)
    return f"Recorded that {by} went over the budget to {purpose}: {budget_line(budget)}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a uid without a name
        return "unknown"

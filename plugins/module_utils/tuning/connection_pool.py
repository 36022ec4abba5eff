# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The `connection_pool` module: a pool set in the agent's environment, within the budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..core.context import Context
from ..core.deadline import Deadline, poll
from ..core.errors import OperationError, Reason
from ..core.operation import Operation, Params
from ..core.result import Result
from ..platforms import (
    AGENT,
    STARTED,
    Agent,
    Environment,
    budget_basis,
    open_driver,
    read_agent,
    read_intent,
    require_ours,
)
from .budget import Budget
from .budget_report import budget_line, budget_state, budget_table, over_budget
from .observation import (
    AgentSeen,
    budget_of,
    check_options,
    look_at_agent,
    look_at_both,
    observation_arguments,
)
from .overdraft import record_overdraft
from .pool_settings import VARIABLES, PoolSettings, read_pool_settings, settings_in
from .replica_pools import ReplicaPool, replica_table

# A replica that has just become ready may take a moment to say so in its detailed health.
_SETTLES_WITHIN_S = 10.0
_NOT_THE_AGENTS = (
    "state",
    "release",
    "replicas",
    "environment",
    "environment_secrets",
    "canary",
    "budget_basis",
)


@dataclass(frozen=True)
class _Change:
    """What is to be set where, decided before anything is touched."""

    agent: Agent
    wanted: PoolSettings
    before: Environment
    plain: dict[str, str]
    seen: AgentSeen
    budget: Budget
    basis: str

    @property
    def purpose(self) -> str:
        return f"set the pool of {self.agent.name} to {self.wanted.text}"

    @property
    def is_one(self) -> bool:
        return self.plain != self.before.plain


def run(params: Params, context: Context) -> Result:
    """Set it, prove it, and take it back where the agent does not thrive; once set, unchanged."""
    wanted = read_pool_settings(params)
    check_options(params)
    agent = read_agent(params)
    _require_started(agent)
    change = _decide(agent, wanted, params, context)
    if not change.budget.within and not params["allow_over_budget"]:
        raise over_budget(change.budget, change.purpose, state=_state(change, change.seen))
    if context.check_mode:
        return _result(change, _applied(change, params, context), change.seen)
    try:
        applied = _applied(change, params, context)
        after = _proved(change, params, context)
    except OperationError as error:
        raise _undone(change, error, params, context) from error
    result = _result(change, applied, after)
    if applied.changed and not change.budget.within:
        asked_by = params["requested_by"]
        result.actions.append(
            record_overdraft(agent, change.budget, change.purpose, asked_by, context)
        )
    return result


def _require_started(agent: Agent) -> None:
    """A pool is no wish to start what was stopped on purpose."""
    intent = read_intent(agent.store, agent.name)
    if intent is not None and intent.state == STARTED:
        return
    raise OperationError(
        Reason.PRECONDITION,
        f"set the pool of {agent.name}",
        "it is stopped on purpose" if intent else "it was never started",
        "Start it first (start.yml)",
    )


def _decide(agent: Agent, wanted: PoolSettings, params: Params, context: Context) -> _Change:
    driver = open_driver(agent, None, context.clock)
    before = driver.environment()
    seen, server = look_at_both(agent, driver, before.variables(), params, context)
    budget = budget_of(seen, server, wanted, params)
    basis = budget_basis(before, seen.ceiling)
    change = _Change(agent, wanted, before, _with_pool(before, wanted), seen, budget, basis)
    if change.is_one or any(pool.running not in (None, wanted) for pool in seen.pools):
        require_ours(agent, VARIABLES, context.clock)
    return change


def _with_pool(before: Environment, wanted: PoolSettings) -> dict[str, str]:
    """The plain variables with the pool; numbers that are the same already keep their text."""
    present = before.variables()
    plain = dict(before.plain)
    for name, value in wanted.variables().items():
        text = present.get(name)
        if text is None or settings_in({name: text}) != settings_in({name: value}):
            plain[name] = value
    return plain


def _applied(change: _Change, params: Params, context: Context) -> Result:
    return _agent(change.plain, None, change.basis, params, context)


def _agent(
    plain: dict[str, str],
    secret: dict[str, str] | None,
    basis: str | None,
    params: Params,
    context: Context,
) -> Result:
    """The agent's own operation with another environment: the one way to change it."""
    given = {name: params[name] for name in AGENT.argument_spec if name not in _NOT_THE_AGENTS}
    if params["platform"] == "kubernetes":
        given["workers"] = 1  # there the image says it; ours counts them for the budget
    given.update(state=STARTED, release=None, replicas=None, canary=False, budget_basis=basis)
    given.update(environment=plain, environment_secrets=secret)
    return AGENT.run(given, context)


def _proved(change: _Change, params: Params, context: Context) -> AgentSeen:
    """The replicas once they run with the pool in good health.

    Raises `failed_state` where they do not, with what was seen. A replica that tells nothing of its
    pool is taken at its environment.
    """
    sick_before = sum(pool.is_sick for pool in change.seen.pools)
    last: list[tuple[AgentSeen, str]] = []

    def look() -> AgentSeen | None:
        # A driver anew: one may remember what it read, and this was changed by another.
        driver = open_driver(change.agent, None, context.clock)
        seen = look_at_agent(change.agent, driver, params, context)
        trouble = _trouble(seen, change.wanted, sick_before)
        last[:] = [(seen, trouble)]
        return None if trouble else seen

    proved = poll(look, Deadline(context.clock, _SETTLES_WITHIN_S), context.clock)
    if proved is not None:
        return proved
    seen, trouble = last[0]
    raise OperationError(
        Reason.FAILED_STATE,
        change.purpose,
        trouble,
        "See the agent's log (logs.yml), and that it reads " + ", ".join(VARIABLES),
        state=_state(change, seen),
        tables=[vars(replica_table(seen.pools))],
    )


def _trouble(seen: AgentSeen, wanted: PoolSettings, sick_before: int) -> str:
    """Why the change is not proved, in words; empty when it is."""
    for replica, pool in zip(seen.state.replicas, seen.pools):
        if pool.running is not None and pool.running != wanted:
            return f"{pool.name} runs with a pool of {_told(pool.running)}"
        if pool.running is None and replica.is_alive and not replica.up_to_date:
            return f"{pool.name} does not have the environment: {pool.note or 'it is another one'}"
    sick = [pool for pool in seen.pools if pool.is_sick]
    if len(sick) > sick_before:
        return "its health fell: " + "; ".join(_illness(pool) for pool in sick)
    return ""


def _told(pool: PoolSettings) -> str:
    return f"{pool.text} that waits {pool.timeout_s:g} s"


def _illness(pool: ReplicaPool) -> str:
    return f"{pool.name} is {pool.health or pool.status}{f', {pool.note}' if pool.note else ''}"


def _undone(
    change: _Change, error: OperationError, params: Params, context: Context
) -> OperationError:
    """The failure, told with what became of the change: taken back by the way it was made."""
    try:
        before = change.before
        untouched = error.details.get("changed") is False
        if untouched or open_driver(change.agent, None, context.clock).environment() == before:
            return error
        result = _agent(dict(before.plain), dict(before.secret), None, params, context)
        outcome = f"The environment before was put back: {result.summary}"
        actions = [*error.details.get("actions", []), *result.actions]
    except OperationError as second:
        outcome = f"Putting the environment before back failed too: {second}".rstrip(".")
        actions = [*error.details.get("actions", []), *second.details.get("actions", [])]
    details = {**error.details, "actions": [*actions, outcome], "changed": True}
    return OperationError(
        error.reason, change.purpose, error.seen, f"{outcome}. {error.next_step}", **details
    )


def _result(change: _Change, applied: Result, after: AgentSeen) -> Result:
    return replace(
        applied,
        state={**_state(change, after), "agent": applied.state},
        summary=f"pool {change.wanted.text}; {budget_line(change.budget)}; {applied.summary}",
        tables=[budget_table(change.budget)],
        stats=None,
    )


def _state(change: _Change, seen: AgentSeen) -> dict[str, Any]:
    return {
        "pool": change.wanted.as_dict(),
        "before": settings_in(change.before.variables()).as_dict(),
        "replicas": [pool.as_dict() for pool in seen.pools],
        "proof": _proof(seen.pools),
        "budget": budget_state(change.budget),
    }


def _proof(pools: Sequence[ReplicaPool]) -> str:
    """What is known of the replicas' pools: as they run, else as they were deployed."""
    return "running" if pools and all(pool.running for pool in pools) else "deployed"


def connection_pool_arguments() -> dict[str, dict[str, Any]]:
    """The module's options: the agent's own for how it is served, and the pool's."""
    agents = {k: v for k, v in AGENT.argument_spec.items() if k not in _NOT_THE_AGENTS}
    return {
        **agents,
        **observation_arguments(),
        "pool_size": {"type": "int", "default": PoolSettings.size},
        "max_overflow": {"type": "int", "default": PoolSettings.max_overflow},
        "pool_timeout_s": {"type": "float", "default": PoolSettings.timeout_s},
        "allow_over_budget": {"type": "bool", "default": False},
        "requested_by": {"type": "str"},
    }


CONNECTION_POOL = Operation(
    name="connection_pool",
    argument_spec=connection_pool_arguments(),
    run=run,
    rules={"mutually_exclusive": [("measured", "database")]},
)

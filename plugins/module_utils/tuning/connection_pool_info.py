# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The `connection_pool_info` module: pools as they are, the budget, and what they need."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..core.context import Context
from ..core.errors import invalid_option
from ..core.operation import Operation, Params
from ..core.result import Result
from ..platforms import (
    Agent,
    Driver,
    Environment,
    access_through_server,
    at_least,
    budget_basis,
    open_driver,
    platform_arguments,
    read_agent,
    replica_ceiling,
)
from .advice import HEAD_ROOM_PERCENT, Advice, Machine, advise
from .budget import Budget
from .budget_report import budget_line, over_budget
from .observation import (
    AgentSeen,
    budget_of,
    check_options,
    look_at_both,
    observation_arguments,
    paths_in,
)
from .overdraft import record_overdraft
from .pool_report import PoolsSeen, state, summary, tables
from .pool_settings import PoolSettings, settings_in
from .replica_endpoints import Endpoints
from .replica_pools import measure_pools
from .samples import Workload
from .server_look import look_at_server
from .sessions import session_table

_LONGEST_WINDOW_S = 3600


def run(params: Params, context: Context) -> Result:
    """Look; fails for what it finds only where `require_within_budget` asks for that."""
    _check(params)
    agent = read_agent(params)
    if params["server_only"]:
        return _server_only(agent, params, context)
    driver = open_driver(agent, None, context.clock)
    seen = _look(agent, driver, params, context)
    actions = _required(agent, seen, params, context)
    return Result(
        actions=actions,
        state=state(seen),
        summary=summary(seen),
        tables=[] if _is_no_news(seen, params) else tables(seen),
        stats={"cost_agent_connection_budget": {agent.name: budget_line(seen.budget)}},
    )


def _is_no_news(seen: PoolsSeen, params: Params) -> bool:
    """Whether the budget was asked for and holds, so that a line says it all."""
    return params["require_within_budget"] and seen.budget.within and not seen.notes()


def _server_only(agent: Agent, params: Params, context: Context) -> Result:
    """What a run on a machine that cannot reach the server, or has no psycopg2, is to be told."""
    seen = look_at_server(agent, {}, params, context)
    return Result(
        state={**seen.as_state(), "notes": list(seen.notes)},
        summary=f"{seen.others.server} of others, {seen.limits.available} available",
        tables=[session_table(seen.groups)] if seen.groups else [],
    )


def _required(agent: Agent, seen: PoolsSeen, params: Params, context: Context) -> list[str]:
    """What is done about a budget that is overdrawn; raises `budget` where that is not allowed.

    What asks for less than the agent may already have makes it no worse, and goes through.
    """
    if not params["require_within_budget"] or seen.budget.within:
        return []
    if _lessens(agent, seen, context):
        return []
    purpose = params["purpose"] or f"run {agent.name} within its connection budget"
    if not params["allow_over_budget"]:
        raise over_budget(seen.budget, purpose, state=state(seen))
    if context.check_mode:
        return ["Would record that it goes over the budget"]
    return [record_overdraft(agent, seen.budget, purpose, params["requested_by"], context)]


def _lessens(agent: Agent, seen: PoolsSeen, context: Context) -> bool:
    """Whether what is weighed asks for less than the agent, once started, may have already."""
    demand = seen.budget.demand
    if seen.agent.state.intent is None or demand.pooled is None:
        return False
    ceiling = replica_ceiling(agent, context.clock)
    before = replace(demand, replicas=ceiling.replicas, pool=seen.deployed).pooled
    return before is None or demand.pooled < before


def _check(params: Params) -> None:
    check_options(params)
    if not 0 <= params["window_s"] <= _LONGEST_WINDOW_S:
        raise invalid_option(
            "window_s", f"{params['window_s']:g} is out of range", f"Give 0 to {_LONGEST_WINDOW_S}"
        )
    if not 0 <= params["head_room_percent"] <= 1000:
        raise invalid_option(
            "head_room_percent",
            f"{params['head_room_percent']:g} is out of range",
            "Give 0 to 1000",
        )
    if params["cores"] is not None:
        at_least("cores", params["cores"], 1)
    at_least("spindles", params["spindles"], 0)
    Environment().updated(params["environment"], params["environment_secrets"])


def _look(agent: Agent, driver: Driver, params: Params, context: Context) -> PoolsSeen:
    with driver.reading_once():
        present = driver.environment()
        environment = present.updated(params["environment"], params["environment_secrets"])
        variables = environment.variables()
        deployed, weighed = settings_in(present.variables()), settings_in(variables)
        basis = budget_basis(present, replica_ceiling(agent, context.clock))
        agent_seen, server = look_at_both(agent, driver, variables, params, context)
    budget = budget_of(agent_seen, server, weighed, params)
    workloads, advice = _advised(agent_seen, weighed, budget, params, context)
    return PoolsSeen(agent_seen, server, deployed, weighed, budget, tuple(workloads), advice, basis)


def _advised(
    seen: AgentSeen, pool: PoolSettings, budget: Budget, params: Params, context: Context
) -> tuple[list[Workload], Advice]:
    """What the load needs; nothing where only the budget is asked for, which is to be quick."""
    if params["require_within_budget"]:
        return [], Advice()
    workloads, missing = _measured(seen, params, context)
    machine = Machine(params["cores"], params["spindles"])
    return workloads, advise(workloads, pool, budget, machine, params["head_room_percent"], missing)


def _measured(
    seen: AgentSeen, params: Params, context: Context
) -> tuple[list[Workload], list[str]]:
    replicas = seen.state.replicas
    urls = [replica.url for replica in replicas if replica.is_alive]
    with access_through_server(params["kubernetes"], urls) as access:
        endpoints = Endpoints(access, params["probe_timeout_s"], context.clock)
        return measure_pools(
            replicas, endpoints, paths_in(params), params["window_s"], context.clock
        )


def connection_pool_info_arguments() -> dict[str, dict[str, Any]]:
    """The module's options."""
    return {
        **platform_arguments(),
        **observation_arguments(),
        "replicas": {"type": "int"},
        "max_replicas": {"type": "int"},
        "environment": {"type": "dict"},
        "environment_secrets": {"type": "dict", "no_log": True},
        "window_s": {"type": "float", "default": 0},
        "cores": {"type": "int"},
        "spindles": {"type": "int", "default": 1},
        "head_room_percent": {"type": "float", "default": HEAD_ROOM_PERCENT},
        "require_within_budget": {"type": "bool", "default": False},
        "allow_over_budget": {"type": "bool", "default": False},
        "purpose": {"type": "str"},
        "server_only": {"type": "bool", "default": False},
        "requested_by": {"type": "str"},
    }


CONNECTION_POOL_INFO = Operation(
    name="connection_pool_info",
    argument_spec=connection_pool_info_arguments(),
    run=run,
    rules={
        "mutually_exclusive": [("measured", "database"), ("measured", "server_only")],
        "required_if": [("server_only", True, ("database",))],
    },
)

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at everything that the connection budget needs, for the modules that go by it."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ..core.context import Context
from ..core.errors import invalid_option
from ..core.operation import Params
from ..platforms import (
    Agent,
    AgentState,
    Ceiling,
    Driver,
    access_through_server,
    at_least,
    observe_agent,
    replica_ceiling,
)
from .agent_database import (
    database_argument,
    pgbouncer_argument,
)
from .budget import Budget, Demand, make_budget
from .metrics import DEFAULT_PREFIX
from .pool_settings import PoolSettings
from .replica_endpoints import Endpoints
from .replica_pools import Paths, ReplicaPool, ask_pools
from .server_look import ServerSeen, look_at_server, with_peak

_MOST_LOOKS = 1000


@dataclass(frozen=True)
class AgentSeen:
    """What the platform and the replicas told."""

    state: AgentState
    ceiling: Ceiling
    pools: tuple[ReplicaPool, ...]

    def running(self) -> list[PoolSettings]:
        """The different pools that replicas run with, in the order of the replicas."""
        return list(dict.fromkeys(pool.running for pool in self.pools if pool.running))

    def outside_pool(self) -> int:
        """The connections that a worker keeps beside its pool, as replicas tell; else 0."""
        return max((pool.outside_pool or 0 for pool in self.pools), default=0)


def check_options(params: Params) -> None:
    """Raise `invalid_input` for what no look needs to be taken for."""
    for name in ("workers", "hosts"):
        at_least(name, params[name], 1)
    for name in ("replicas", "max_replicas", "outside_pool", "others_at_peak"):
        if params.get(name) is not None:
            at_least(name, params[name], 1 if "replicas" in name else 0)
    if not 1 <= params["looks"] <= _MOST_LOOKS:
        raise invalid_option(
            "looks", f"{params['looks']} is out of range", f"Give 1 to {_MOST_LOOKS}"
        )
    for name, least in (("interval_s", 0), ("probe_timeout_s", 0.001)):
        if not least <= params[name] <= 3600:
            raise invalid_option(name, f"{params[name]:g} is out of range", f"Give {least} to 3600")


def look_at_both(
    agent: Agent,
    driver: Driver,
    environment: Mapping[str, str],
    params: Params,
    context: Context,
) -> tuple[AgentSeen, ServerSeen]:
    """The agent, and its database with everybody else at peak; each waits for its own servers."""
    with ThreadPoolExecutor(1) as meanwhile:
        looking = meanwhile.submit(look_at_server, agent, environment, params, context)
        seen = look_at_agent(agent, driver, params, context)
        return seen, with_peak(looking.result(), agent, params, context)


def look_at_agent(agent: Agent, driver: Driver, params: Params, context: Context) -> AgentSeen:
    """The replicas and their pools, and how many there may be."""
    state = observe_agent(agent, driver)
    urls = [replica.url for replica in state.replicas if replica.is_alive]
    with access_through_server(params["kubernetes"], urls) as access:
        endpoints = Endpoints(access, params["probe_timeout_s"], context.clock)
        pools = ask_pools(state.replicas, endpoints, paths_in(params))
    most = params.get("max_replicas")
    if most is not None:
        ceiling = Ceiling(most, "the autoscaler's max to be")
    else:
        ceiling = replica_ceiling(agent, context.clock, params.get("replicas"))
    return AgentSeen(state, ceiling, tuple(pools))


def paths_in(params: Params) -> Paths:
    """Where replicas are asked."""
    return Paths(params["detailed_path"], params["metrics_path"], params["metrics_prefix"])


def budget_of(agent: AgentSeen, server: ServerSeen, pool: PoolSettings, params: Params) -> Budget:
    """The budget of this pool at the ceiling."""
    outside = params["outside_pool"]
    demand = Demand(
        replicas=agent.ceiling.replicas,
        pool=pool,
        workers=params["workers"],
        hosts=params["hosts"],
        outside_pool=agent.outside_pool() if outside is None else outside,
        ceiling=agent.ceiling.source,
    )
    return make_budget(demand, server.others, server.limits, server.bouncer)


def observation_arguments() -> dict[str, dict[str, Any]]:
    """The options that a look takes besides the platform's; documented in doc_fragments/tuning.py."""

    return {
        "database": database_argument(),
        "pgbouncer": pgbouncer_argument(),
        "measured": {"type": "dict"},
        "application_name": {"type": "str"},
        "workers": {"type": "int", "default": 1},
        "hosts": {"type": "int", "default": 1},
        "outside_pool": {"type": "int"},
        "others_at_peak": {"type": "int"},
        "looks": {"type": "int", "default": 3},
        "interval_s": {"type": "float", "default": 0.05},
        "detailed_path": {"type": "str", "default": "/api/v1/health/detailed"},
        "metrics_path": {"type": "str", "default": "/metrics"},
        "metrics_prefix": {"type": "str", "default": DEFAULT_PREFIX},
        "probe_timeout_s": {"type": "float", "default": 5},
    }

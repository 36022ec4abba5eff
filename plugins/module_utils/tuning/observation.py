# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at everything that the connection budget needs, for the modules that go by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..core.context import Context
from ..core.errors import OperationError, invalid_option
from ..core.operation import Params
from ..platforms import (
    Agent,
    AgentState,
    Ceiling,
    Driver,
    access_through_server,
    at_least,
    observe_agent,
    read_intent,
    replica_ceiling,
)
from .activity import Activity
from .agent_database import (
    AgentDatabase,
    agent_database,
    database_argument,
    pgbouncer_argument,
)
from .budget import Bouncer, Budget, Demand, Limits, Others, make_budget
from .metrics import DEFAULT_PREFIX
from .peaks import Peaks
from .pgbouncer import read_bouncer
from .pool_settings import PoolSettings
from .replica_endpoints import Endpoints
from .replica_pools import Paths, ReplicaPool, ask_pools
from .sessions import Identity, SessionGroup, highest, others_in

_MOST_LOOKS = 1000


@dataclass(frozen=True)
class ServerSeen:
    """What the database's server told; `groups` are the sessions of the last look."""

    address: str
    version: int
    identity: Identity
    limits: Limits
    groups: tuple[SessionGroup, ...]
    others: Others
    bouncer: Bouncer | None
    notes: tuple[str, ...] = ()


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
    for name in ("interval_s", "probe_timeout_s"):
        if not 0 <= params[name] <= 3600:
            raise invalid_option(name, f"{params[name]:g} is out of range", "Give 0 to 3600")


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


def look_at_server(
    agent: Agent, environment: Mapping[str, str], params: Params, context: Context
) -> ServerSeen:
    """The server's limits, its sessions in several looks, and PgBouncer's pool.

    Remembers the peak of the others with the state of an agent that was started once.
    """
    database = agent_database(params["database"], environment)
    with Activity(database.server, database.name) as activity:
        identity = _identity(agent, database, activity, params)
        limits = activity.limits(identity.role, identity.database)
        looks = [tuple(activity.look())]
        for _number in range(params["looks"] - 1):
            context.clock.sleep(params["interval_s"])
            looks.append(tuple(activity.look()))
        address, version, sees_all = activity.address, activity.version, activity.sees_all
    bouncer = read_bouncer(params["pgbouncer"], identity) if params["pgbouncer"] else None
    notes = [] if sees_all else [_SEES_LITTLE]
    seen = [others_in(look, identity) for look in looks]
    try:
        others = _peak(agent, seen, params, context)
    except OperationError as error:
        others = _most_of(seen, params)
        notes.append(f"Peaks of other days are not known: {error}")
    return ServerSeen(
        address=address,
        version=version,
        identity=identity,
        limits=limits,
        groups=looks[-1],
        others=others,
        bouncer=bouncer,
        notes=tuple(notes),
    )


_SEES_LITTLE = (
    "States and ages of others' sessions are not shown to this user: grant it pg_read_all_stats "
    "(pg_monitor) to see them; counts are right without it"
)


def _identity(
    agent: Agent, database: AgentDatabase, activity: Activity, params: Params
) -> Identity:
    role = database.role or activity.user()
    return Identity(params["application_name"] or agent.name, role, database.name)


def _most_of(looks: Sequence[Others], params: Params) -> Others:
    """The most of these looks, or what the operator knows better."""
    count = len(looks)
    seen = highest(looks, "now" if count == 1 else f"the most of {count} looks")
    told = params["others_at_peak"]
    return seen if told is None else replace(seen, server=told, seen="as told")


def _peak(agent: Agent, looks: Sequence[Others], params: Params, context: Context) -> Others:
    """Everybody else at peak: as told, else the most of these looks and of the last days."""
    peaks, now = Peaks(agent.store, agent.name), context.clock.now()
    if not context.check_mode and read_intent(agent.store, agent.name) is not None:
        peaks.keep(highest(looks, ""), now)
    seen = _most_of(looks, params)
    return seen if params["others_at_peak"] is not None else peaks.with_past(seen, now)


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
        "application_name": {"type": "str"},
        "workers": {"type": "int", "default": 1},
        "hosts": {"type": "int", "default": 1},
        "outside_pool": {"type": "int"},
        "others_at_peak": {"type": "int"},
        "looks": {"type": "int", "default": 3},
        "interval_s": {"type": "float", "default": 0.1},
        "detailed_path": {"type": "str", "default": "/api/v1/health/detailed"},
        "metrics_path": {"type": "str", "default": "/metrics"},
        "metrics_prefix": {"type": "str", "default": DEFAULT_PREFIX},
        "probe_timeout_s": {"type": "float", "default": 5},
    }

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection budget: what an agent may ask for at its ceiling, against what there is. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Callable

from .pool_settings import PoolSettings

SERVER = "server"
ROLE = "role"
DATABASE = "database"
BOUNCER_CLIENTS = "pgbouncer"
BOUNCER_SERVERS = "pgbouncer pool"
# The kinds of PgBouncer's pool_mode (its documentation, Features).
SESSION = "session"
TRANSACTION = "transaction"


@dataclass(frozen=True)
class Demand:
    """What the agent may ask for: every worker's pool full, at the most replicas there may be.

    `replicas` are those of one host, `ceiling` says in words where the number is from.
    `outside_pool` are connections that each worker keeps beside its pool, for checks.
    """

    replicas: int
    pool: PoolSettings
    workers: int = 1
    hosts: int = 1
    outside_pool: int = 0
    ceiling: str = ""

    @property
    def pools(self) -> int:
        """How many pools there are."""
        return self.hosts * self.replicas * self.workers

    @property
    def pooled(self) -> int | None:
        """Connections of all pools when full; None where nothing bounds them."""
        most = self.pool.most
        return None if most is None else self.pools * most

    @property
    def beside(self) -> int:
        """Connections beside the pools."""
        return self.pools * self.outside_pool

    @property
    def factors(self) -> str:
        """`2 hosts x 10 replicas x 1 worker`, without hosts where there is one."""
        hosts = f"{self.hosts} hosts x " if self.hosts > 1 else ""
        return f"{hosts}{_many(self.replicas, 'replica')} x {_many(self.workers, 'worker')}"


@dataclass(frozen=True)
class Others:
    """Connections of everybody else at peak: to the server, of the agent's role, to its database.

    `seen` says in words what the peak is the peak of.
    """

    server: int
    role: int = 0
    database: int = 0
    seen: str = ""


@dataclass(frozen=True)
class Limits:
    """What the server allows; a role's or database's limit is None where it has none.

    `superuser_reserved` and `reserved` are superuser_reserved_connections and, from PostgreSQL
    16 on, reserved_connections: slots that the agent's role never gets
    (PostgreSQL's documentation, Connections and Authentication).
    """

    max_connections: int
    superuser_reserved: int
    reserved: int = 0
    role: str = ""
    role_limit: int | None = None
    database: str = ""
    database_limit: int | None = None

    @property
    def available(self) -> int:
        return max(0, self.max_connections - self.superuser_reserved - self.reserved)


@dataclass(frozen=True)
class Bouncer:
    """The PgBouncer that the agent connects to, and its pool for the agent's role and database.

    Limits of 0 mean none, as in its configuration. `other_clients` are connected to it and not
    the agent's, `other_servers` are what its other pools may open on the same database.
    `prepares` tells whether it knows prepared statements (max_prepared_statements, 1.21).
    """

    pool_mode: str
    pool_size: int
    reserve_pool_size: int
    max_client_conn: int
    max_db_connections: int = 0
    max_user_connections: int = 0
    other_clients: int = 0
    other_servers: int = 0
    prepares: bool = False

    @property
    def servers(self) -> int:
        """The most connections that it opens to the server for the agent's pool."""
        most = self.pool_size + self.reserve_pool_size
        limits = [limit for limit in (self.max_db_connections, self.max_user_connections) if limit]
        return min([most, *limits])


@dataclass(frozen=True)
class Row:
    """A line of the budget's table; `connections` is None for no bound."""

    what: str
    arithmetic: str
    connections: int | None

    @property
    def cells(self) -> list[str]:
        count = "no bound" if self.connections is None else str(self.connections)
        return [self.what, self.arithmetic, count]


@dataclass(frozen=True)
class Check:
    """One limit, and what it is asked for.

    `agent` are its pools, None for no bound; `beside` is what its workers keep beside them.
    """

    name: str
    agent: int | None
    others: int
    available: int
    beside: int = 0

    @property
    def asked(self) -> int | None:
        """All that is asked for; None where nothing bounds it."""
        return None if self.agent is None else self.agent + self.beside + self.others

    @property
    def over(self) -> int | None:
        """By how much it is overdrawn, 0 where it holds; None where nothing bounds the demand."""
        return None if self.asked is None else max(0, self.asked - self.available)

    @property
    def sum_text(self) -> str:
        """`300 + 10 + 14`: pools, beside them where there is any, others."""
        agent = "no bound" if self.agent is None else str(self.agent)
        return f"{agent} + {f'{self.beside} + ' if self.beside else ''}{self.others}"

    @property
    def holds(self) -> bool:
        return self.over == 0


@dataclass(frozen=True)
class Fit:
    """What would fit instead; each is None where nothing of its kind does.

    `pool_size` goes with the overflow that was asked for, `pool_size_alone` without any.
    `replicas` go with the pool that was asked for, `max_connections` is what the server needed.
    """

    pool_size: int | None
    pool_size_alone: int | None
    replicas: int | None
    max_connections: int | None


@dataclass(frozen=True)
class Budget:
    """The verdict with all that led to it."""

    demand: Demand
    checks: tuple[Check, ...]
    rows: tuple[Row, ...]
    fit: Fit
    warnings: tuple[str, ...]

    @property
    def within(self) -> bool:
        return all(check.holds for check in self.checks)

    @property
    def tightest(self) -> Check:
        """The check that is overdrawn the most, else the one with the least room."""
        unbounded = [check for check in self.checks if check.over is None]
        if unbounded:
            return unbounded[0]
        return max(self.checks, key=lambda check: (check.asked or 0) - check.available)

    @property
    def largest_pool(self) -> PoolSettings | None:
        """The largest pool that fits, with the overflow asked for, else without; None for none."""
        timeout_s = self.demand.pool.timeout_s
        if self.fit.pool_size is not None:
            return PoolSettings(self.fit.pool_size, self.demand.pool.max_overflow, timeout_s)
        if self.fit.pool_size_alone is not None:
            return PoolSettings(self.fit.pool_size_alone, 0, timeout_s)
        return None


def make_budget(
    demand: Demand, others: Others, limits: Limits, bouncer: Bouncer | None = None
) -> Budget:
    """Weigh the demand against every limit that stands in its way."""
    checks = _checks(demand, others, limits, bouncer)
    return Budget(
        demand=demand,
        checks=tuple(checks),
        rows=tuple(_rows(demand, others, limits, bouncer, checks)),
        fit=_fit(demand, others, limits, bouncer),
        warnings=tuple(_warnings(bouncer)),
    )


def _checks(demand: Demand, others: Others, limits: Limits, bouncer: Bouncer | None) -> list[Check]:
    asked, beside = demand.pooled, demand.beside
    checks = []
    if bouncer is not None:
        others_there = bouncer.other_clients
        checks.append(Check(BOUNCER_CLIENTS, asked, others_there, bouncer.max_client_conn, beside))
        if bouncer.pool_mode == SESSION:
            # A client keeps its server connection until it disconnects, and a pool's does not.
            checks.append(Check(BOUNCER_SERVERS, asked, 0, bouncer.servers, beside))
        asked, beside = bouncer.servers + bouncer.other_servers, 0
    checks.append(Check(SERVER, asked, others.server, limits.available, beside))
    if limits.role_limit is not None:
        checks.append(Check(ROLE, asked, others.role, limits.role_limit, beside))
    if limits.database_limit is not None:
        checks.append(Check(DATABASE, asked, others.database, limits.database_limit, beside))
    return checks


def _rows(
    demand: Demand,
    others: Others,
    limits: Limits,
    bouncer: Bouncer | None,
    checks: Sequence[Check],
) -> list[Row]:
    rows = [Row("agent at its ceiling", f"{demand.factors} x ({demand.pool.text})", demand.pooled)]
    if demand.outside_pool:
        text = f"{demand.factors} x {demand.outside_pool}"
        rows.append(Row("beside its pools", text, demand.beside))
    if bouncer is not None:
        rows += _bouncer_rows(bouncer)
    rows.append(Row("others at peak", others.seen, others.server))
    arithmetic = f"{limits.max_connections} - {limits.superuser_reserved} for superusers"
    if limits.reserved:
        arithmetic += f" - {limits.reserved} reserved"
    rows.append(Row("available", arithmetic, limits.available))
    if limits.role_limit is not None:
        rows.append(
            Row("role's limit", _name_and_others(limits.role, others.role), limits.role_limit)
        )
    if limits.database_limit is not None:
        text = _name_and_others(limits.database, others.database)
        rows.append(Row("database's limit", text, limits.database_limit))
    rows += [_verdict_row(check) for check in checks]
    return rows


def _bouncer_rows(bouncer: Bouncer) -> list[Row]:
    size = f"{bouncer.pool_size} + {bouncer.reserve_pool_size} in reserve"
    rows = [
        Row("clients of PgBouncer", "max_client_conn", bouncer.max_client_conn),
        Row("others of its clients", "connected now", bouncer.other_clients),
        Row("PgBouncer's pool", f"{bouncer.pool_mode} mode, {size}", bouncer.servers),
    ]
    if bouncer.other_servers:
        rows.append(Row("its other pools", "at their largest", bouncer.other_servers))
    return rows


def _verdict_row(check: Check) -> Row:
    if check.agent is None:
        return Row(f"over: {check.name}", "no bound never fits", None)
    if check.holds:
        text = f"{check.available} - ({check.sum_text})"
        return Row(f"left: {check.name}", text, check.available - (check.asked or 0))
    return Row(f"over: {check.name}", f"{check.sum_text} > {check.available}", check.over)


def _fit(demand: Demand, others: Others, limits: Limits, bouncer: Bouncer | None) -> Fit:
    def fits(changed: Demand) -> bool:
        return all(check.holds for check in _checks(changed, others, limits, bouncer))

    def with_pool(size: int, overflow: int) -> Demand:
        return replace(demand, pool=PoolSettings(size, overflow, demand.pool.timeout_s))

    most = max(limits.available, bouncer.max_client_conn if bouncer else 0)
    overflow = demand.pool.max_overflow
    pool_size = None
    if overflow >= 0:
        pool_size = _largest(most, lambda size: fits(with_pool(size, overflow)))
    asked = _checks(demand, others, limits, bouncer)
    needed = next(check for check in asked if check.name == SERVER)
    max_connections = None
    if needed.asked is not None:
        max_connections = needed.asked + limits.superuser_reserved + limits.reserved
    return Fit(
        pool_size=pool_size,
        pool_size_alone=_largest(most, lambda size: fits(with_pool(size, 0))),
        replicas=_largest(most, lambda count: fits(replace(demand, replicas=count))),
        max_connections=max_connections,
    )


def _largest(most: int, fits: Callable[[int], bool]) -> int | None:
    """The largest number from 1 to `most` that fits, where what fits goes on fitting below."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle):
            low = middle
        else:
            high = middle - 1
    return low or None


def _warnings(bouncer: Bouncer | None) -> list[str]:
    if bouncer is None or bouncer.pool_mode == SESSION or bouncer.prepares:
        return []
    return [
        f"PgBouncer pools by {bouncer.pool_mode} and knows no prepared statements: an agent that "
        "prepares them, as asyncpg and psycopg 3 do by themselves, fails. Set "
        "max_prepared_statements (PgBouncer 1.21) or switch them off in the agent's driver"
    ]


def _name_and_others(name: str, others: int) -> str:
    return f"{name}, others use {others}"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"

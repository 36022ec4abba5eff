# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each replica says of its own pool, in its detailed health and its metrics."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from ..core.clock import Clock
from ..core.result import Table
from ..platforms import Replica
from .metrics import PoolMetrics, read_pool_metrics
from .pool_settings import PoolSettings
from .replica_endpoints import Endpoints, NoAnswer
from .samples import Workload, between, since_start

_MOST_AT_ONCE = 16
# What a detailed health calls an agent that cannot do its work.
_SICK = ("unhealthy", "down")


@dataclass(frozen=True)
class Paths:
    """Where replicas answer; `prefix` begins the names of the pool's metrics."""

    detailed: str
    metrics: str
    prefix: str


@dataclass(frozen=True)
class ReplicaPool:
    """One replica; what it does not tell is None.

    `running` is what its pool was made with, `outside_pool` how many connections a worker keeps
    beside it. `health` is its own word. `note` says why something is not known.
    """

    name: str
    status: str
    running: PoolSettings | None = None
    in_use: int | None = None
    idle: int | None = None
    outside_pool: int | None = None
    health: str | None = None
    note: str = ""

    @property
    def is_sick(self) -> bool:
        """Whether it runs and says of itself that it is unhealthy, or is not ready."""
        return self.status == "running" or self.health in _SICK

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as results show them."""
        return {
            "name": self.name,
            "status": self.status,
            "running": self.running.as_dict() if self.running else None,
            "in_use": self.in_use,
            "idle": self.idle,
            "outside_pool": self.outside_pool,
            "health": self.health,
            "note": self.note,
        }


def replica_table(pools: Sequence[ReplicaPool]) -> Table:
    """What each replica says of itself."""
    rows = [
        [pool.name, pool.status, pool.running.text if pool.running else "-", pool.health or "-"]
        for pool in pools
    ]
    return Table(["replica", "status", "pool", "its health"], rows)


def ask_pools(replicas: Sequence[Replica], endpoints: Endpoints, paths: Paths) -> list[ReplicaPool]:
    """Every replica, those that run asked; one that does not answer is told, not a failure."""

    def ask(replica: Replica) -> ReplicaPool:
        seen = ReplicaPool(replica.name, replica.status, note=replica.note)
        if not replica.is_alive:
            return seen
        try:
            answer = endpoints.get(replica.url + paths.detailed)
        except NoAnswer as error:
            return replace(seen, note=str(error))
        body = _json(answer.body)
        pool = body.get("pool")
        seen = replace(seen, health=_text(body.get("status")))
        if not isinstance(pool, dict):
            return replace(seen, note=f"{paths.detailed} tells nothing of its pool")
        return replace(
            seen,
            running=_settings(pool),
            in_use=_count(pool.get("in_use")),
            idle=_count(pool.get("idle")),
            outside_pool=_count(pool.get("outside")),
        )

    return _each(ask, replicas)


def measure_pools(
    replicas: Sequence[Replica],
    endpoints: Endpoints,
    paths: Paths,
    window_s: float,
    clock: Clock,
) -> tuple[list[Workload], list[str]]:
    """What pools did for `window_s` seconds from now on, or, with 0, since each worker started.

    Also, in sentences, why nothing is known of the others.
    """
    alive = [replica for replica in replicas if replica.is_alive]
    first = _scrapes(alive, endpoints, paths)
    last = first
    if window_s and any(isinstance(each, _Scrape) for each in first):
        clock.sleep(window_s)
        last = _scrapes(alive, endpoints, paths)
    workloads, missing = [], []
    for replica, before, after in zip(alive, first, last):
        found = _workload(replica.name, before, after, window_s)
        if isinstance(found, Workload):
            workloads.append(found)
        else:
            missing.append(found)
    return workloads, missing


@dataclass(frozen=True)
class _Scrape:
    metrics: PoolMetrics
    taken_at: float  # monotonic
    date: float  # the replica's own time


def _scrapes(
    replicas: Sequence[Replica], endpoints: Endpoints, paths: Paths
) -> list[_Scrape | str]:
    def scrape(replica: Replica) -> _Scrape | str:
        try:
            answer = endpoints.get(replica.url + paths.metrics)
        except NoAnswer as error:
            return f"metrics of {replica.name}: {error}"
        found = read_pool_metrics(answer.body, paths.prefix) if answer.status == 200 else None
        if found is None:
            return (
                f"{replica.name} tells no {paths.prefix}_held_seconds at {paths.metrics} "
                f"(HTTP {answer.status})"
            )
        date = endpoints.now() if answer.date is None else answer.date
        return _Scrape(found, endpoints.monotonic(), date)

    return _each(scrape, replicas)


def _workload(
    name: str, before: _Scrape | str, after: _Scrape | str, window_s: float
) -> Workload | str:
    if isinstance(before, str):
        return before
    if isinstance(after, str):
        return after
    if not window_s:
        found = since_start(name, after.metrics, after.date)
        return found or f"{name} does not tell when it was started (process_start_time_seconds)"
    span_s = after.taken_at - before.taken_at
    found = between(name, before.metrics, after.metrics, span_s)
    return found or f"{name} was restarted meanwhile, or another of its workers answered"


def _each(ask: Any, replicas: Sequence[Replica]) -> list[Any]:
    """Asked at once, since each may take its whole time limit; in the replicas' order."""
    if not replicas:
        return []
    with ThreadPoolExecutor(min(_MOST_AT_ONCE, len(replicas))) as pool:
        return list(pool.map(ask, replicas))


def connections_in_use(body: bytes) -> int | None:
    """What a detailed health says of the connections in use, None where it says nothing of them."""
    pool = _json(body.decode("utf-8", "replace")).get("pool")
    return _count(pool.get("in_use")) if isinstance(pool, dict) else None


def _json(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _settings(pool: Mapping[str, Any]) -> PoolSettings | None:
    size, overflow, timeout_s = (pool.get(n) for n in ("size", "max_overflow", "timeout_s"))
    if not isinstance(size, (int, float)) or not isinstance(overflow, (int, float)):
        return None
    waits_s = float(timeout_s) if isinstance(timeout_s, (int, float)) else PoolSettings.timeout_s
    return PoolSettings(int(size), int(overflow), waits_s)


def _count(value: Any) -> int | None:
    return int(value) if isinstance(value, (int, float)) else None


def _text(value: Any) -> str | None:
    return value.lower() if isinstance(value, str) else None

"""The connection pool, and how long requests wait for its connections and hold them."""

from __future__ import annotations

import time
from typing import Any

from prometheus_client import Counter, Histogram
from sqlalchemy import QueuePool, event
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import PoolProxiedConnection

_BUCKETS = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
HELD = Histogram(
    "cost_agent_pool_held_seconds", "Time that a connection was held for", buckets=_BUCKETS
)
WAIT = Histogram(
    "cost_agent_pool_wait_seconds", "Time until a connection was had", buckets=_BUCKETS
)
TIMEOUTS = Counter("cost_agent_pool_timeouts_total", "Requests that got no connection in time")
_TAKEN_AT = "taken_at"


class MeasuredPool(QueuePool):
    """A QueuePool that measures itself; a wait includes opening a connection and its ping."""

    def connect(self) -> PoolProxiedConnection:
        start = time.monotonic()
        try:
            connection = super().connect()
        except PoolTimeoutError:
            TIMEOUTS.inc()
            raise
        WAIT.observe(time.monotonic() - start)
        return connection


@event.listens_for(MeasuredPool, "checkout")
def _taken(_connection: Any, record: Any, _proxy: Any) -> None:
    record.info[_TAKEN_AT] = time.monotonic()


@event.listens_for(MeasuredPool, "checkin")
def _given_back(_connection: Any, record: Any) -> None:
    taken_at = record.info.pop(_TAKEN_AT, None)
    if taken_at is not None:
        HELD.observe(time.monotonic() - taken_at)

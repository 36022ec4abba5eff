"""Fresh, bounded measurements of the database and the cache.

Each check keeps a connection of its own, so that a pool in full use does not
look like a database that is away, and a hanging server costs one second.
"""

from __future__ import annotations

import asyncio
import select
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psycopg2
import psycopg2.extensions
import redis

from src.cache import make_redis
from src.database import first_line
from src.settings import Settings

LIMIT_S = 1.0
# Inside the limit, so that the check itself can say what it waited for.
_INNER_LIMIT_S = 0.9


@dataclass(frozen=True)
class Component:
    """What a check found; latency of one round trip in milliseconds, None without an answer."""

    status: str
    latency_ms: float | None
    error: str | None = None

    @property
    def is_healthy(self) -> bool:
        return self.status == "healthy"

    def as_json(self) -> dict[str, str | float | None]:
        found = {"status": self.status, "latency_ms": self.latency_ms}
        return found if self.error is None else {**found, "error": self.error}


class CheckTimeout(Exception):
    """No answer in time; the message says from what."""


class DatabaseCheck:
    """`SELECT 1` on a connection in psycopg2's asynchronous mode, the only one with time limits."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: psycopg2.extensions.connection | None = None

    def __call__(self) -> float:
        """Round trip in seconds. Raises CheckTimeout or psycopg2.Error."""
        deadline = time.monotonic() + _INNER_LIMIT_S
        try:
            if self._connection is not None:
                try:
                    return self._round_trip(self._connection, deadline)
                except psycopg2.Error:
                    self._drop()  # the server restarted since the last check: once more
            self._connection = psycopg2.connect(**self._settings.database_connection(), async_=1)
            self._wait(self._connection, deadline)
            return self._round_trip(self._connection, deadline)
        except (CheckTimeout, psycopg2.Error, OSError):
            self._drop()
            raise

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _round_trip(self, connection: psycopg2.extensions.connection, deadline: float) -> float:
        start = time.monotonic()
        cursor = connection.cursor()
        cursor.execute("SELECT 1")
        self._wait(connection, deadline)
        cursor.fetchone()
        return time.monotonic() - start

    @staticmethod
    def _wait(connection: psycopg2.extensions.connection, deadline: float) -> None:
        while (wanted := connection.poll()) != psycopg2.extensions.POLL_OK:
            reading = [connection] if wanted == psycopg2.extensions.POLL_READ else []
            writing = [] if reading else [connection]
            left = deadline - time.monotonic()
            if left <= 0 or not any(select.select(reading, writing, [], left)):
                raise CheckTimeout(f"no answer from the database in {LIMIT_S:g} s")


class CacheCheck:
    """`PING`."""

    def __init__(self, settings: Settings) -> None:
        self._client = make_redis(settings, timeout_s=_INNER_LIMIT_S)

    def __call__(self) -> float:
        """Round trip in seconds. Raises redis.RedisError."""
        # The first use connects and authenticates, which is not what is measured.
        pool = self._client.connection_pool
        pool.release(pool.get_connection())
        start = time.monotonic()
        self._client.ping()
        return time.monotonic() - start


class SharedCheck:
    """Runs a check for all who ask at the same time, and answers within `LIMIT_S`."""

    def __init__(self, name: str, check: Callable[[], float]) -> None:
        self._check = check
        self._name = name
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=f"check-{name}")
        self._running: asyncio.Future[float] | None = None

    async def measure(self) -> Component:
        if self._running is None or self._running.done():
            loop = asyncio.get_running_loop()
            self._running = loop.run_in_executor(self._executor, self._check)
        try:
            seconds = await asyncio.wait_for(asyncio.shield(self._running), LIMIT_S)
        except TimeoutError:
            return Component("unhealthy", None, f"no answer from the {self._name} in {LIMIT_S:g} s")
        except (CheckTimeout, psycopg2.Error, redis.RedisError, OSError) as error:
            return Component("unhealthy", None, first_line(error))
        return Component("healthy", round(seconds * 1000, 3))

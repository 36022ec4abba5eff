"""PostgreSQL: the pool, and the schema that is made when missing."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import psycopg2
from sqlalchemy import Engine, QueuePool, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from src.measured_pool import MeasuredPool
from src.settings import Settings

log = logging.getLogger("cost_agent.database")

SCHEMA = Path(__file__).with_name("schema.sql")
# Any number that every replica knows, and no other program uses.
_SCHEMA_LOCK = 8001_2025
_RETRY_S = 0.5
_STATEMENT_TIMEOUT_MS = 10_000
# The database check's own (checks.py).
_OUTSIDE_POOL = 1


def make_engine(settings: Settings) -> Engine:
    """The engine with its pool of DB_POOL_SIZE + DB_MAX_OVERFLOW; connects at first use only."""
    return create_engine(
        "postgresql+psycopg2://",
        creator=lambda: psycopg2.connect(
            **settings.database_connection(),
            options=f"-c statement_timeout={_STATEMENT_TIMEOUT_MS}",
        ),
        poolclass=MeasuredPool,
        pool_size=settings.pool_size,
        max_overflow=settings.pool_max_overflow,
        pool_timeout=settings.pool_timeout_s,
        pool_pre_ping=True,
    )


def pool_numbers(engine: Engine, settings: Settings) -> dict[str, float]:
    """Configured size and present use of the pool, in connections; timeout_s in seconds.

    `outside` is what this process keeps beside it.
    """
    pool = engine.pool
    assert isinstance(pool, QueuePool)
    in_use = pool.checkedout()
    return {
        "size": settings.pool_size,
        "max_overflow": settings.pool_max_overflow,
        "timeout_s": settings.pool_timeout_s,
        "in_use": in_use,
        "idle": pool.checkedin(),
        "overflow": max(0, in_use + pool.checkedin() - settings.pool_size),
        "outside": _OUTSIDE_POOL,
    }


def create_schema(engine: Engine) -> bool:
    """Make schema and data unless they are there; True when they were made now.

    Replicas that start together wait for each other here. Raises SQLAlchemyError.
    """
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})
        if connection.scalar(text("SELECT to_regclass('cost.recommendations')")) is not None:
            return False
        connection.exec_driver_sql(SCHEMA.read_text())
    return True


async def create_schema_when_possible(engine: Engine, ready: asyncio.Event) -> None:
    """Try until the database is there, then set `ready`."""
    reason = ""
    while not ready.is_set():
        try:
            made = await asyncio.to_thread(create_schema, engine)
        except (SQLAlchemyError, psycopg2.Error, OSError) as error:
            if reason != (reason := first_line(error)):
                log.warning("no schema yet, trying again every %g s: %s", _RETRY_S, reason)
            await asyncio.sleep(_RETRY_S)
        else:
            log.info("schema created and filled" if made else "schema found")
            ready.set()


def first_line(error: BaseException) -> str:
    """The first line of an error; psycopg2 says host and user there, never the password."""
    cause = getattr(error, "orig", None) or error
    return (str(cause).strip().splitlines() or [type(cause).__name__])[0]

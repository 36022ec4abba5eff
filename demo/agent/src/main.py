"""The application: `uvicorn src.main:app --host 0.0.0.0 --port 8001`."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from prometheus_client import REGISTRY
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from src import costs, faults, health, metrics
from src.cache import Cache, make_redis
from src.checks import CacheCheck, DatabaseCheck, SharedCheck
from src.database import create_schema_when_possible, first_line, make_engine
from src.drain import CloseWhileDraining, Drain
from src.json_logs import configure_logs
from src.request_log import RequestLog
from src.settings import Settings, read_settings

log = logging.getLogger("cost_agent")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Start without waiting for the database; end by giving the connections back."""
    state = app.state
    state.drain.begin_on_sigterm()
    schema = asyncio.create_task(create_schema_when_possible(state.engine, state.schema_ready))
    yield
    schema.cancel()
    state.engine.dispose()


async def database_unavailable(_request: Request, error: Exception) -> JSONResponse:
    """503 where the database is away or the pool is exhausted, and the reason in the log."""
    log.error("database unavailable: %s", first_line(error))
    detail = "no free connection" if isinstance(error, PoolTimeoutError) else "database unavailable"
    return JSONResponse({"detail": detail}, status_code=503)


def create_app(settings: Settings) -> FastAPI:
    """The application with all it needs in `app.state`; connects to nothing yet."""
    app = FastAPI(title="Cost Agent", version=settings.release, lifespan=lifespan)
    state = app.state
    state.settings = settings
    state.started_at = time.monotonic()
    state.engine = make_engine(settings)
    state.cache = Cache(make_redis(settings), settings.cache_ttl_s)
    state.database_check = SharedCheck("database", DatabaseCheck(settings))
    state.cache_check = SharedCheck("cache", CacheCheck(settings))
    state.schema_ready = asyncio.Event()
    state.drain = Drain(settings.drain_s)
    state.faults = faults.Faults()
    for module in (costs, health, metrics):
        app.include_router(module.router)
    for error in (OperationalError, PoolTimeoutError):
        app.add_exception_handler(error, database_unavailable)
    if settings.faults_enabled:
        app.include_router(faults.router)
        app.add_middleware(faults.FaultMiddleware, faults=state.faults)
    app.add_middleware(CloseWhileDraining, drain=state.drain)
    app.add_middleware(RequestLog)  # added last is outermost
    REGISTRY.register(metrics.PoolCollector(state.engine, settings))
    return app


_settings = read_settings()
configure_logs(_settings.release, _settings.log_level)
app = create_app(_settings)

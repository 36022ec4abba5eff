"""Health, readiness and liveness."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from src.checks import Component
from src.database import pool_numbers

router = APIRouter(prefix="/api/v1")


def overall(database: Component, cache: Component) -> str:
    """Without the database nothing works; without the cache everything does, slower."""
    if not database.is_healthy:
        return "unhealthy"
    return "healthy" if cache.is_healthy else "degraded"


@router.get("/health")
async def health(request: Request) -> dict[str, str]:
    """Basic: the process answers. Asks no other server."""
    return {"status": "healthy", "release": request.app.state.settings.release}


@router.get("/live")
async def live() -> dict[str, str]:
    """The process need not be restarted."""
    return {"status": "alive"}


@router.get("/health/detailed")
async def detailed(request: Request) -> JSONResponse:
    """Every component, measured now; 503 when unhealthy. Answers in about 1 s at the most."""
    state = request.app.state
    database, cache = await asyncio.gather(
        state.database_check.measure(), state.cache_check.measure()
    )
    status = overall(database, cache)
    body = {
        "status": status,
        "release": state.settings.release,
        "uptime_s": round(time.monotonic() - state.started_at, 1),
        "components": {
            "database": database.as_json(),
            "cache": cache.as_json(),
        },
        "pool": pool_numbers(state.engine, state.settings),
    }
    return JSONResponse(body, status_code=503 if status == "unhealthy" else 200)


@router.get("/ready")
async def ready(request: Request) -> JSONResponse:
    """Whether requests may be sent here: 200, or 503 with the reason."""
    reason = await _reason_not_ready(request.app.state)
    if reason is None:
        return JSONResponse({"status": "ready"})
    return JSONResponse({"status": "not ready", "reason": reason}, status_code=503)


async def _reason_not_ready(state: Any) -> str | None:
    if state.drain.has_begun:
        return "draining"
    if state.faults.current.fail_readiness:
        return "fault: readiness"
    database = await state.database_check.measure()
    if not database.is_healthy:
        return f"database: {database.error}"
    return None if state.schema_ready.is_set() else "database: schema not there yet"

"""Faults on demand, for drills. main.py leaves all of this out unless COST_AGENT_FAULTS=1."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

PATH = "/api/v1/faults"
# The way to end a fault, and the way to watch one, stay free of it.
_EXEMPT = (PATH, "/metrics")
_BURN_SLICE_S = 0.05


class FaultSet(BaseModel):
    """The faults in force; the default is none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slow_ms: Annotated[int, Field(ge=0, le=600_000)] = 0
    """Every answer comes this much later."""
    error_rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    """This share of requests is answered with 500, evenly spread."""
    memory_mb: Annotated[int, Field(ge=0, le=8192)] = 0
    """Memory taken and kept."""
    cpu_fraction: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of one core kept busy."""
    cpu_seconds: Annotated[float, Field(gt=0, le=86_400)] | None = None
    """End of the CPU fault; None: until cleared."""
    hang: bool = False
    """No request is ever answered."""
    fail_readiness: bool = False
    """/api/v1/ready says 503."""


class Faults:
    """Holds the set in force and what it occupies."""

    def __init__(self) -> None:
        self.current = FaultSet()
        self._ballast = bytearray()
        self._error_share = 0.0
        self._stop_burning = threading.Event()

    def set(self, wanted: FaultSet) -> None:
        """Replace the set in force."""
        self._stop_burning.set()
        self.current = wanted
        self._error_share = 0.0
        # Not zeros: pages of zeros need not be real memory.
        self._ballast = bytearray(b"\x01") * (wanted.memory_mb * 1024 * 1024)
        if wanted.cpu_fraction:
            self._stop_burning = threading.Event()
            limit_s = wanted.cpu_seconds or float("inf")
            burner = (wanted.cpu_fraction, limit_s, self._stop_burning)
            threading.Thread(target=_burn, args=burner, daemon=True).start()

    def next_fails(self) -> bool:
        """Whether this request is one of the failing share; counts, so no chance is involved."""
        self._error_share += self.current.error_rate
        if self._error_share < 1:
            return False
        self._error_share -= 1
        return True


def _burn(fraction: float, limit_s: float, stop: threading.Event) -> None:
    """Keep one core busy for `fraction` of the time; hashing lets other threads run."""
    block = bytes(256 * 1024)
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        busy_until = time.monotonic() + _BURN_SLICE_S * fraction
        while time.monotonic() < busy_until:
            hashlib.sha256(block)
        if stop.wait(_BURN_SLICE_S * (1 - fraction)):
            return


class FaultMiddleware:
    """Applies slow, error and hang to every request but those to the exempt paths."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        faults = self._faults.current
        if scope["type"] != "http" or scope["path"] in _EXEMPT:
            await self._app(scope, receive, send)
            return
        if faults.hang:
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        if faults.slow_ms:
            await asyncio.sleep(faults.slow_ms / 1000)
        if self._faults.next_fails():
            response = JSONResponse({"detail": "fault: error_rate"}, status_code=500)
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)


router = APIRouter()


@router.get(PATH)
async def show(request: Request) -> FaultSet:
    """The faults in force."""
    current: FaultSet = request.app.state.faults.current
    return current


@router.post(PATH)
def replace(request: Request, wanted: FaultSet) -> FaultSet:
    """Put exactly these faults in force."""
    request.app.state.faults.set(wanted)
    return wanted


@router.delete(PATH)
def clear(request: Request) -> FaultSet:
    """Put no fault in force."""
    return replace(request, FaultSet())

"""One log line and one metric sample per request."""

from __future__ import annotations

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from src.metrics import IN_FLIGHT, LATENCY, REQUESTS

log = logging.getLogger("cost_agent.request")


class RequestLog:
    """ASGI middleware, the outermost: sees what the client sees."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        start = time.monotonic()

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            with IN_FLIGHT.track_inprogress():
                await self._app(scope, receive, watch)
        finally:
            _record(scope, status, time.monotonic() - start)


def _level(status: int) -> int:
    """503 is what a probe is told on purpose; other server errors are failures of ours."""
    if status == 503:
        return logging.WARNING
    return logging.ERROR if status >= 500 else logging.INFO


def _record(scope: Scope, status: int, seconds: float) -> None:
    method = scope["method"]
    # The route's pattern: a label must not take a value per caller.
    pattern = getattr(scope.get("route"), "path", "unmatched")
    REQUESTS.labels(method, pattern, str(status)).inc()
    LATENCY.labels(method, pattern).observe(seconds)
    log.log(
        _level(status),
        "%s %s %d",
        method,
        scope["path"],
        status,
        extra={
            "method": method,
            "path": scope["path"],
            "status": status,
            "duration_ms": round(seconds * 1000, 2),
            "client": (scope.get("client") or ("-",))[0],
        },
    )

"""Prometheus metrics."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import APIRouter, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import Engine

from src.database import pool_numbers
from src.settings import Settings

router = APIRouter()

REQUESTS = Counter("cost_agent_requests_total", "Answered requests", ["method", "path", "status"])
IN_FLIGHT = Gauge("cost_agent_requests_in_flight", "Requests that are being answered")
LATENCY = Histogram(
    "cost_agent_request_seconds",
    "Time to the end of the answer in seconds",
    ["method", "path"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)


class PoolCollector(Collector):
    """The connection pool, looked at when it is asked for."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings

    def collect(self) -> Iterator[GaugeMetricFamily]:
        numbers = pool_numbers(self._engine, self._settings)
        for name in ("size", "max_overflow", "in_use", "idle"):
            yield GaugeMetricFamily(
                f"cost_agent_pool_{name}_connections",
                f"Database connection pool: {name.replace('_', ' ')}",
                value=numbers[name],
            )


@router.get("/metrics")
async def metrics() -> Response:
    """Everything in the Prometheus text format."""
    return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)

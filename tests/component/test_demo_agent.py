# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo agent: its endpoints, what it does without its servers, and how it ends."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from demo.stack import Addresses, Stack
from tests.component.demo_replica import Replica, environment, running
from tests.waiting import LIMIT_S, eventually


def password(addresses: Addresses, component: str) -> str:
    return Path(str(addresses[component]["password_file"])).read_text().strip()


def query(addresses: Addresses, statement: str, database: str | None = None) -> Any:
    """First column of the first row, None without rows."""
    address = addresses["postgres"]
    connection = psycopg2.connect(
        host=address["host"],
        port=address["port"],
        user=address["user"],
        password=password(addresses, "postgres"),
        dbname=database or address["database"],
    )
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchone()[0] if cursor.description else None
    finally:
        connection.close()


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Servers that a test may suspend or stop; it brings them back."""
    stack = Stack(tmp_path_factory.mktemp("agent-stack"))
    stack.up(["postgres", "redis"])
    yield stack
    stack.down(purge=True)


@pytest.fixture(scope="module")
def addresses(own_stack: Stack) -> Addresses:
    return own_stack.up(["postgres", "redis"])


@pytest.fixture(scope="module")
def agent(addresses: Addresses, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    with running(environment(addresses), tmp_path_factory.mktemp("agent") / "log") as agent:
        eventually(lambda: agent.ready_status() == 200)
        yield agent


@contextmanager
def suspended(stack: Stack, component: str) -> Iterator[None]:
    """The server hangs: its port takes connections, and nothing answers."""
    pids = [row.pid for row in stack.status() if row.component == component]
    if component == "postgres":  # a backend of each connection answers for itself
        children = Path(f"/proc/{pids[0]}/task/{pids[0]}/children").read_text()
        pids += map(int, children.split())
    send(signal.SIGSTOP, pids)
    try:
        yield
    finally:
        send(signal.SIGCONT, pids)


def send(number: signal.Signals, pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):  # a backend whose client left
            os.kill(pid, number)


def test_basic_health_names_the_release(agent: Replica) -> None:
    answer = agent.get("/api/v1/health")
    assert (answer.status, answer.json()) == (200, {"status": "healthy", "release": "9.9.9"})


def test_detailed_health_measures_every_component(agent: Replica) -> None:
    answer = agent.get("/api/v1/health/detailed")
    body = answer.json()
    assert (answer.status, body["status"], body["release"]) == (200, "healthy", "9.9.9")
    assert body["uptime_s"] > 0
    for component in ("database", "cache"):
        assert body["components"][component]["status"] == "healthy"
        assert 0 < body["components"][component]["latency_ms"] < 1000
    configured = {"size": 20, "max_overflow": 10, "timeout_s": 30, "in_use": 0}
    assert body["pool"].items() >= configured.items()


def test_summary_is_computed_once_and_then_cached(agent: Replica, addresses: Addresses) -> None:
    path = "/api/v1/costs/summary?account=acc-007&days=13"
    first, second = agent.get(path), agent.get(path)
    assert (first.headers["X-Cache"], second.headers["X-Cache"]) == ("miss", "hit")
    assert first.body == second.body
    expected = query(
        addresses,
        "SELECT round(sum(amount), 2) FROM cost.line_items "
        "WHERE account_id = 'acc-007' AND day > date '2025-01-23' - 13",
    )
    assert first.json()["total"] == float(expected)
    assert len(first.json()["services"]) == 5


def test_recommendations_come_largest_first(agent: Replica) -> None:
    savings = [row["monthly_saving"] for row in agent.get("/api/v1/recommendations").json()]
    assert len(savings) == 60
    assert savings == sorted(savings, reverse=True)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/costs/summary?account=nobody", 404),
        ("/api/v1/recommendations?account=nobody", 404),
        ("/api/v1/costs/summary?days=many", 422),
        ("/api/v1/costs/summary?days=0", 422),
        ("/api/v1/recommendations?limit=-1", 422),
        ("/api/v1/unknown", 404),
    ],
)
def test_bad_questions_are_refused(agent: Replica, path: str, status: int) -> None:
    assert agent.get(path).status == status


def test_metrics_count_requests_and_show_the_pool(agent: Replica) -> None:
    agent.get("/api/v1/live")
    text = agent.get("/metrics").body.decode()
    assert 'cost_agent_requests_total{method="GET",path="/api/v1/live",status="200"}' in text
    assert "cost_agent_pool_in_use_connections 0.0" in text


def test_hanging_database_is_reported_within_its_limit(agent: Replica, own_stack: Stack) -> None:
    with suspended(own_stack, "postgres"):
        ready, detailed = agent.get("/api/v1/ready"), agent.get("/api/v1/health/detailed")
        assert agent.get("/api/v1/health").status == 200
        assert agent.get("/api/v1/live").status == 200
    assert ready.status == 503
    assert "database" in ready.json()["reason"]
    assert (detailed.status, detailed.json()["status"]) == (503, "unhealthy")
    assert detailed.json()["components"]["database"]["latency_ms"] is None
    eventually(lambda: agent.ready_status() == 200)


def test_hanging_cache_degrades_and_costs_little(agent: Replica, own_stack: Stack) -> None:
    with suspended(own_stack, "redis"):
        summary = agent.get("/api/v1/costs/summary?account=acc-001")
        detailed = agent.get("/api/v1/health/detailed").json()
        assert agent.ready_status() == 200
    assert (summary.status, summary.headers["X-Cache"]) == (200, "unavailable")
    assert detailed["status"] == "degraded"
    assert detailed["components"]["cache"]["status"] == "unhealthy"
    eventually(lambda: agent.get("/api/v1/health/detailed").json()["status"] == "healthy")


def test_database_restart_is_survived(agent: Replica, own_stack: Stack) -> None:
    postgres = next(row.pid for row in own_stack.status() if row.component == "postgres")
    os.kill(postgres, signal.SIGKILL)
    eventually(lambda: agent.ready_status() == 503)
    assert agent.get("/api/v1/costs/summary?account=acc-002&days=2").status == 503
    own_stack.up(["postgres", "redis"])
    eventually(lambda: agent.ready_status() == 200)
    assert agent.get("/api/v1/costs/summary?account=acc-002&days=2").status == 200


def test_replicas_that_start_before_the_database_fill_it_once(
    own_stack: Stack, addresses: Addresses, tmp_path: Path
) -> None:
    name = "started_together"
    query(addresses, f"CREATE DATABASE {name}")
    variables = environment(addresses)
    variables["DATABASE_URL"] = variables["DATABASE_URL"].removesuffix("cost_agent") + name
    postgres = next(row.pid for row in own_stack.status() if row.component == "postgres")
    os.kill(postgres, signal.SIGKILL)
    with (
        running(variables, tmp_path / "1") as first,
        running(variables, tmp_path / "2") as second,
        running(variables, tmp_path / "3") as third,
    ):
        replicas = (first, second, third)
        for replica in replicas:
            eventually(lambda replica=replica: replica.ready_status() == 503)
        own_stack.up(["postgres", "redis"])
        for replica in replicas:
            eventually(lambda replica=replica: replica.ready_status() == 200)
    assert query(addresses, "SELECT count(*) FROM cost.line_items", name) == 20 * 90 * 5
    created = [path for path in tmp_path.iterdir() if "schema created" in path.read_text()]
    assert len(created) == 1


def test_sigterm_drains(addresses: Addresses, tmp_path: Path) -> None:
    """Readiness goes 503, the request in flight completes, the exit code is 0."""
    with (
        running(environment(addresses, DRAIN_SECONDS="3"), tmp_path / "log") as agent,
        ThreadPoolExecutor(1) as pool,
    ):
        eventually(lambda: agent.ready_status() == 200)
        agent.request("POST", "/api/v1/faults", {"slow_ms": 1500})
        in_flight = pool.submit(agent.get, "/api/v1/costs/summary?account=acc-003")
        in_process = "cost_agent_requests_in_flight 2.0"
        eventually(lambda: in_process in agent.get("/metrics").body.decode())
        agent.request("DELETE", "/api/v1/faults")
        agent.process.send_signal(signal.SIGTERM)
        eventually(lambda: agent.get("/api/v1/ready").json().get("reason") == "draining")
        assert agent.get("/api/v1/health").headers["Connection"] == "close"
        assert in_flight.result().status == 200
        assert agent.process.wait(LIMIT_S) == 0


def test_faults_are_off_unless_enabled_and_secrets_never_logged(
    addresses: Addresses, tmp_path: Path
) -> None:
    """The other way to say the password, and the strictest reading of the log."""
    secret = password(addresses, "postgres")
    variables = environment(addresses, LOG_LEVEL="DEBUG")
    for name in ("COST_AGENT_FAULTS", "DATABASE_PASSWORD_FILE"):
        del variables[name]
    variables["DATABASE_URL"] = variables["DATABASE_URL"].replace("@", f":{secret}@")
    variables["REDIS_PASSWORD_FILE"] = str(tmp_path / "wrong")
    (tmp_path / "wrong").write_text("planted-wrong-password")
    with running(variables, tmp_path / "log") as agent:
        eventually(lambda: agent.ready_status() == 200)
        assert agent.get("/api/v1/faults").status == 404
        assert agent.request("POST", "/api/v1/faults", {"slow_ms": 1}).status == 404
        assert agent.get("/api/v1/costs/summary").headers["X-Cache"] == "unavailable"
        detailed = agent.get("/api/v1/health/detailed")
        assert detailed.json()["status"] == "degraded"
    text = agent.log.read_text()
    assert secret not in text + detailed.body.decode()
    assert "planted-wrong-password" not in text + detailed.body.decode()


def test_log_is_one_json_object_per_line(agent: Replica) -> None:
    agent.get("/api/v1/live")
    lines = [json.loads(line) for line in agent.log.read_text().splitlines()]
    assert all(line.keys() >= {"time", "level", "release", "logger", "message"} for line in lines)
    assert {"uvicorn.error", "cost_agent.request"} <= {line["logger"] for line in lines}
    request = next(line for line in reversed(lines) if line.get("path") == "/api/v1/live")
    assert (request["status"], request["release"]) == (200, "9.9.9")
    assert request["duration_ms"] >= 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DB_POOL_SIZE", "0"),
        ("DB_POOL_TIMEOUT", "soon"),
        ("LOG_LEVEL", "LOUD"),
        ("DATABASE_URL", "postgresql:planted-secret"),
        ("REDIS_URL", "http://:planted-secret@127.0.0.1"),
        ("DATABASE_PASSWORD_FILE", "/nowhere/password"),
    ],
)
def test_unusable_settings_end_the_start_with_a_message(
    addresses: Addresses, tmp_path: Path, name: str, value: str
) -> None:
    with running(environment(addresses, **{name: value}), tmp_path / "log") as agent:
        assert agent.process.wait(10) != 0
    text = agent.log.read_text()
    assert f"{name}: " in text
    assert "Traceback" not in text
    assert "planted-secret" not in text

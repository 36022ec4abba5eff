# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo agent's faults: each does what it says, and ends when cleared."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from demo.stack import Addresses
from tests.component.demo_replica import Replica, environment, running
from tests.waiting import eventually

NO_FAULTS = {
    "slow_ms": 0,
    "error_rate": 0.0,
    "memory_mb": 0,
    "cpu_fraction": 0.0,
    "cpu_seconds": None,
    "hang": False,
    "fail_readiness": False,
}


@pytest.fixture(scope="module")
def shared_agent(
    demo_stack: Addresses, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Replica]:
    log = tmp_path_factory.mktemp("faults") / "log"
    with running(environment(demo_stack), log) as agent:
        eventually(lambda: agent.ready_status() == 200)
        yield agent


@pytest.fixture
def agent(shared_agent: Replica) -> Iterator[Replica]:
    """The shared replica, without faults after each test."""
    yield shared_agent
    assert shared_agent.request("DELETE", "/api/v1/faults").json() == NO_FAULTS


def test_slow_fault_delays_every_answer(agent: Replica) -> None:
    agent.request("POST", "/api/v1/faults", {"slow_ms": 200})
    start = time.monotonic()
    agent.get("/api/v1/health")
    assert time.monotonic() - start >= 0.2


def test_error_fault_fails_exactly_its_share(agent: Replica) -> None:
    agent.request("POST", "/api/v1/faults", {"error_rate": 0.25})
    statuses = [agent.get("/api/v1/health").status for _request in range(20)]
    assert statuses.count(500) == 5


def test_memory_fault_takes_and_gives_back_memory(agent: Replica) -> None:
    before = agent.memory_mb()
    agent.request("POST", "/api/v1/faults", {"memory_mb": 100})
    assert agent.memory_mb() - before > 90
    agent.request("DELETE", "/api/v1/faults")
    assert agent.memory_mb() - before < 20


def test_cpu_fault_uses_the_processor_until_cleared(agent: Replica) -> None:
    agent.request("POST", "/api/v1/faults", {"cpu_fraction": 1})
    before = agent.cpu_s()
    eventually(lambda: agent.cpu_s() - before > 0.3)


def test_hang_fault_never_answers_but_can_be_cleared(agent: Replica) -> None:
    agent.request("POST", "/api/v1/faults", {"hang": True})
    with pytest.raises(TimeoutError):
        agent.get("/api/v1/health", timeout_s=0.3)
    agent.request("DELETE", "/api/v1/faults")
    assert agent.get("/api/v1/health").status == 200


def test_readiness_fault_leaves_everything_else_alone(agent: Replica) -> None:
    agent.request("POST", "/api/v1/faults", {"fail_readiness": True})
    assert agent.get("/api/v1/ready").json()["reason"] == "fault: readiness"
    assert agent.get("/api/v1/health").status == 200


@pytest.mark.parametrize(
    "body",
    [
        {"slow_ms": -1},
        {"slow_ms": "soon"},
        {"error_rate": 1.5},
        {"memory_mb": 10**9},
        {"cpu_fraction": 2},
        {"explode": True},
        [],
        "text",
    ],
)
def test_bad_faults_are_refused_and_change_nothing(agent: Replica, body: Any) -> None:
    assert agent.request("POST", "/api/v1/faults", body).status == 422
    assert agent.get("/api/v1/faults").json() == NO_FAULTS

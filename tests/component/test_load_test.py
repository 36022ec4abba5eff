# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""load_test against the real agent: one that is well, one that fails, one that stalls."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.context import Context
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.operation import execute
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.load.load_test import (
    LOAD_TEST,
)

from demo.stack import Addresses
from demo.stack.ports import free_ports
from tests.component.demo_replica import Replica, environment, running
from tests.waiting import eventually

PATH = "/api/v1/recommendations"
FAULTS = "/api/v1/faults"
PLANTED_SECRET = "planted-secret-9017"


@pytest.fixture(scope="module")
def shared_agent(
    demo_stack: Addresses, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Replica]:
    log = tmp_path_factory.mktemp("load") / "log"
    with running(environment(demo_stack), log) as agent:
        eventually(lambda: agent.ready_status() == 200)
        yield agent


@pytest.fixture
def agent(shared_agent: Replica) -> Iterator[Replica]:
    """The shared replica, without faults after each test."""
    yield shared_agent
    shared_agent.request("DELETE", FAULTS)


def load(*ports: int, check: bool = False, **options: Any) -> dict[str, Any]:
    """The operation as the action plugin runs it, options coerced and defaults filled in."""
    targets = [{"url": f"http://127.0.0.1:{port}"} for port in ports]
    given = {"targets": targets, "path": PATH, "rate": 50, "duration_s": 2, "warm_up_s": 0}
    validated = ArgumentSpecValidator(LOAD_TEST.argument_spec).validate({**given, **options})
    assert not validated.error_messages
    return execute(LOAD_TEST, validated.validated_parameters, Context(check_mode=check))


def meanwhile(after_s: float, act: Callable[[], object]) -> threading.Timer:
    timer = threading.Timer(after_s, act)
    timer.start()
    return timer


def answered(agent: Replica, path: str = PATH) -> float:
    """How many requests for a path the agent has counted."""
    counts = re.findall(
        rf'^cost_agent_requests_total{{[^}}]*path="{path}"[^}}]*}} (\S+)$',
        agent.get("/metrics").body.decode(),
        re.MULTILINE,
    )
    return sum(map(float, counts))


def test_the_rate_is_kept_and_every_request_reaches_the_agent(agent):
    before = answered(agent)
    result = load(agent.port, rate=100, warm_up_s=0.5)
    assert "failed" not in result, result
    state = result["state"]
    assert answered(agent) - before == 250
    assert (state["requests"], state["failed"], state["cut_short"]) == (200, 0, "")
    assert 0 < state["answers_a_second"] <= 101
    assert 0 < state["p50_ms"] <= state["p95_ms"] <= state["p99_ms"] <= state["max_ms"]
    assert state["most_connections_in_use"] is not None
    assert not result["changed"]


def test_nothing_is_sent_in_check_mode(agent, tmp_path):
    before = answered(agent)
    result = load(agent.port, check=True, report=str(tmp_path / "new" / "report.html"))
    assert result["summary"] == "would send 100 requests to 1 replica, 50/s for 2 s"
    assert result["actions"] == [
        "Would send 100 requests to 1 replica, 50/s for 2 s",
        f"Would write the report to {tmp_path}/new/report.html",
    ]
    assert answered(agent) == before
    assert list(tmp_path.iterdir()) == []


def test_an_agent_that_begins_to_fail_ends_the_load(agent):
    before = answered(agent)
    fail = meanwhile(1.0, lambda: agent.request("POST", FAULTS, {"error_rate": 1}))
    result = load(agent.port, duration_s=30)
    fail.join()
    assert "failed" not in result, result
    state = result["state"]
    assert "of the last 50 requests failed" in state["cut_short"]
    assert "HTTP 500" in state["cut_short"]
    assert state["failures"] == {"HTTP 500": state["failed"]}
    assert 25 <= state["failed"] < state["requests"] < 1500
    assert answered(agent) - before == state["requests"] - state["failed"]
    assert result["summary"].endswith("; cut short")


def test_a_load_that_the_agent_no_longer_takes_is_a_failure_with_its_report(agent, tmp_path):
    before = load(agent.port)
    assert before["state"]["cut_short"] == ""
    agent.request("POST", FAULTS, {"error_rate": 0.8})
    after = load(
        agent.port,
        before=before["state"],
        settings_before={"DB_POOL_SIZE": 4},
        settings_after={"DB_POOL_SIZE": 20},
        report=str(tmp_path / "report.html"),
    )
    assert (after["failed"], after["reason"]) == (True, "failed_state")
    assert "go back to DB_POOL_SIZE 4" in after["msg"]
    assert after["tables"][0]["columns"] == ["load", "before", "after", "change"]
    assert after["state"]["cut_short"]
    assert "cut short" in (tmp_path / "report.html").read_text()
    assert after["summary"].endswith(f"report: {tmp_path / 'report.html'}")


def test_a_load_that_was_cut_short_before_too_is_none(agent):
    agent.request("POST", FAULTS, {"error_rate": 0.8})
    before = load(agent.port)
    assert before["state"]["cut_short"]
    assert "failed" not in load(agent.port, before=before["state"])


def test_a_stall_of_the_agent_is_seen_by_all_requests_that_it_hits(agent):
    """A quarter of the load falls into the stall; the p95 is a request of its first part."""
    stall_s = 1.0

    def stall() -> None:
        os.kill(agent.process.pid, signal.SIGSTOP)
        time.sleep(stall_s)
        os.kill(agent.process.pid, signal.SIGCONT)

    timer = meanwhile(1.0, stall)
    try:
        state = load(agent.port, duration_s=4, timeout_s=60)["state"]
    finally:
        timer.join()
    assert state["requests"] == 200
    assert state["failed"] == 0
    assert state["p95_ms"] > stall_s * 1000 / 2
    assert state["max_ms"] > stall_s * 1000 * 0.9


def test_an_agent_that_hangs_gets_a_bounded_load_and_no_measurement(agent):
    agent.request("POST", FAULTS, {"hang": True})
    result = load(agent.port, rate=200, duration_s=60, timeout_s=1)
    assert (result["failed"], result["reason"]) == (True, "timeout")
    assert "no answer within 1 s" in result["msg"]
    assert result["state"]["requests"] <= 400


@pytest.mark.parametrize(
    ("path", "reason"), [("/api/v1/nothing", "precondition"), (FAULTS + "/nothing", "precondition")]
)
def test_a_path_that_is_not_there_is_told_as_that(agent, path, reason):
    result = load(agent.port, path=path, duration_s=30)
    assert result["reason"] == reason
    # It is judged from the 20th answer on; a busy machine has sent some more by then.
    assert 20 <= result["state"]["requests"] < 1500
    assert "HTTP 404" in result["msg"]


def test_an_agent_that_is_not_there_is_told_as_that():
    result = load(*free_ports(1), duration_s=30)
    assert result["reason"] == "unreachable"
    assert "refuses connections" in result["msg"]


def test_one_replica_that_is_gone_fails_its_share(agent):
    result = load(agent.port, *free_ports(1), abort_at_failed_percent=75)
    state = result["state"]
    assert (state["requests"], state["failed"], state["replicas"]) == (100, 50, 2)
    assert state["failures"] == {"refuses connections": 50}


def test_no_secret_is_in_the_report_or_the_result(agent, tmp_path):
    report = tmp_path / "report.html"
    result = load(
        agent.port,
        headers={"Authorization": f"Bearer {PLANTED_SECRET}"},
        settings_before={"REDIS_URL": f"redis://agent:{PLANTED_SECRET}-old@cache:6379/0"},
        settings_after={"TOKEN": f"Bearer {PLANTED_SECRET}", "REDIS_URL": "redis://cache:6379/0"},
        report=str(report),
    )
    assert result["actions"] == [f"Wrote the report to {report}"]
    page = report.read_text()
    assert "redis://agent:********@cache" in page
    for text in (page, str(result)):
        assert PLANTED_SECRET not in text


def test_a_report_that_cannot_be_written_keeps_the_figures(agent, tmp_path):
    """What is to become its folder is a file when the load has been sent."""
    folder = tmp_path / "reports"
    spoiled = meanwhile(1.0, folder.touch)
    result = load(agent.port, report=str(folder / "report.html"))
    spoiled.join()
    assert (result["failed"], result["reason"]) == (True, "precondition")
    assert result["state"]["requests"] == 100
    assert result["tables"]


@pytest.mark.parametrize("place", ["", "file/report.html"])
def test_a_place_that_is_none_is_refused_before_anything_is_sent(agent, tmp_path, place):
    (tmp_path / "file").touch()
    before = answered(agent)
    result = load(agent.port, report=str(Path(tmp_path, place)))
    assert (result["failed"], result["reason"]) == (True, "precondition")
    assert answered(agent) == before

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""connection_pool sets a real agent's pool, proves it, and takes back what the agent dislikes."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.clock import SystemClock
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.deadline import Deadline
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.lock import hold
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.state_store import (
    FileStateStore,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.intent import (
    read_intent,
    write_intent,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.connection_pool import (
    CONNECTION_POOL,
)

from tests.component.operations import run_operation, start_operation
from tests.component.pool_site import PoolSite
from tests.waiting import eventually

SECRET = "planted-secret-8201"
# What a release does when it is given a pool of 6: it starts, serves, and says that it is sick.
SICK_WITH_SIX = """
if _settings.pool_size == 6:
    from fastapi.routing import APIRoute

    def sick():
        return {"status": "unhealthy", "pool": {"size": 6, "max_overflow": 1, "timeout_s": 2.5}}

    app.router.routes.insert(0, APIRoute("/api/v1/health/detailed", sick))
if _settings.pool_size == 7:
    raise SystemExit("no pool of seven")
"""


@pytest.fixture
def site(tmp_path, demo_stack) -> Iterator[PoolSite]:
    site = PoolSite(tmp_path, demo_stack)
    try:
        site.deploy(source=SICK_WITH_SIX)
        outcome = site.agent(
            replicas=2,
            environment={**site.variables, "DRAIN_SECONDS": 0, "DB_POOL_TIMEOUT": "2.50"},
            environment_secrets={"API_TOKEN": SECRET},
            timeout_s=60,
        )
        assert not outcome.get("failed"), outcome
        yield site
    finally:
        site.agent("stopped")
        site.close()


def set_pool(site: PoolSite, size: int, overflow: int, check: bool = False, **changes: Any) -> Any:
    arguments = {
        "pool_size": size,
        "max_overflow": overflow,
        "pool_timeout_s": 2.5,
        "port": site.port,
        "host": "127.0.0.1",
        "stop_grace_s": 5,
        "stable_s": 0.05,
        **changes,
    }
    outcome = site.operate(CONNECTION_POOL, check, **arguments)
    site._pids.update(site.pids().values())
    assert SECRET not in json.dumps(outcome)
    return outcome


def succeeded(outcome: dict[str, Any]) -> dict[str, Any]:
    assert not outcome.get("failed"), outcome["msg"]
    return outcome


def test_it_is_foretold_set_proved_and_then_unchanged(site):
    before = site.tree()
    foretold = succeeded(set_pool(site, 8, 2, check=True))
    assert foretold["changed"]
    assert site.tree() == before
    pids = site.pids()
    done = succeeded(set_pool(site, 8, 2))
    assert done["changed"]
    assert set(site.pids().values()).isdisjoint(pids.values())
    for number in range(2):
        running = site.pool(number)
        assert (running["size"], running["max_overflow"], running["timeout_s"]) == (8, 2, 2.5)
    assert done["state"]["proof"] == "running"
    assert done["state"]["before"]["size"] == 20
    assert foretold["diff"]["after"]["environment"] == done["diff"]["after"]["environment"]
    assert done["diff"]["after"]["environment"]["API_TOKEN"] == "********"
    pids = site.pids()
    again = succeeded(set_pool(site, 8, 2))
    assert (again["changed"], again["actions"]) == (False, [])
    assert site.pids() == pids


def test_replicas_are_replaced_one_at_a_time_without_a_lost_request(site):
    stop, failures, answered = threading.Event(), [], [0]

    def ask(number: int) -> None:
        """As a load balancer does: another replica where one does not take the connection."""
        while not stop.is_set():
            for replica in (number, 1 - number):
                url = f"http://127.0.0.1:{site.port + replica}/api/v1/recommendations"
                try:
                    with urllib.request.urlopen(url, timeout=300):
                        answered[0] += 1
                        break
                except ConnectionError:
                    continue
                except OSError as error:
                    if isinstance(getattr(error, "reason", None), ConnectionRefusedError):
                        continue
                    failures.append(str(error))
                    break
            else:
                failures.append("no replica took the connection")

    threads = [threading.Thread(target=ask, args=[number]) for number in (0, 1)]
    for thread in threads:
        thread.start()
    try:
        outcome = succeeded(set_pool(site, 5, 1))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert "none below 1 ready" in outcome["summary"]
    assert (failures, answered[0] > 20) == ([], True)


def test_a_pool_is_not_set_over_what_another_run_changed_meanwhile(site):
    """It has looked and waits for the lock, under which another count and variables come in."""
    store, outcome, pids = FileStateStore(site.home / "state"), {}, site.pids()
    deadline = Deadline(SystemClock(), 60)
    setting = threading.Thread(target=lambda: outcome.update(set_pool(site, 8, 2)))
    with hold(store, "cost-agent", "the test", deadline, SystemClock()):
        setting.start()
        eventually(lambda: store.read("connections/cost-agent") is not None)
        intent = read_intent(store, "cost-agent")
        write_intent(store, "cost-agent", replace(intent, replicas=5))
    setting.join(60)
    assert outcome["reason"] == "precondition"
    assert "after its connections were weighed" in outcome["msg"]
    assert not outcome["changed"]
    assert site.pids() == pids
    assert "DB_POOL_SIZE" not in site.ask_environment()


def test_what_was_weighed_before_another_run_scales_nothing(site):
    weighed = succeeded(site.pool_info(replicas=3, require_within_budget=True))
    basis = weighed["state"]["basis"]
    succeeded(set_pool(site, 8, 2))
    outcome = site.agent("scaled", replicas=3, budget_basis=basis)
    assert outcome["reason"] == "precondition"
    assert len(site.pids()) == 2
    basis = site.pool_info(replicas=3, require_within_budget=True)["state"]["basis"]
    succeeded(site.agent("scaled", replicas=3, budget_basis=basis))
    assert len(site.pids()) == 3


def test_over_budget_is_refused_with_the_largest_that_fits_and_nothing_is_touched(site):
    before = site.tree()
    outcome = set_pool(site, 50, 10, others_at_peak=5)
    assert (outcome["reason"], outcome["changed"]) == ("budget", False)
    assert "120 + 2 beside its pools + 5 others > 97" in outcome["msg"]
    assert "Set pool_size 35 with max_overflow 10" in outcome["msg"]
    assert site.tree() == before
    succeeded(set_pool(site, 35, 10, others_at_peak=5))
    assert set_pool(site, 36, 10, others_at_peak=5)["reason"] == "budget"


def test_an_overflow_without_bound_never_fits(site):
    outcome = set_pool(site, 1, -1)
    assert outcome["reason"] == "budget"
    assert "no bound" in outcome["msg"]


def test_over_budget_on_purpose_is_done_and_recorded_once(site):
    for _number in range(2):
        outcome = succeeded(
            set_pool(site, 60, 0, allow_over_budget=True, requested_by="the night shift")
        )
    assert not outcome["changed"]
    store = FileStateStore(site.home / "state")
    [key] = store.list("history/over_budget/cost-agent")
    entry = store.read(key)
    assert entry is not None
    record = json.loads(entry.data)
    assert record["by"] == "the night shift"
    assert record["purpose"] == "set the pool of cost-agent to 60 + 0"
    assert record["figures"].startswith("120 + 2 beside its pools")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "words"),
    [
        (6, "its health fell: cost-agent-"),  # it serves, and says that it is unhealthy
        (7, "no pool of seven"),  # it does not start
    ],
)
def test_what_the_agent_does_not_thrive_with_is_taken_back(site, size, words):
    environment = site.ask_environment()
    outcome = set_pool(site, size, 1)
    assert outcome["reason"] == "failed_state"
    assert words in outcome["msg"]
    assert "The environment before was put back: " in outcome["msg"]
    assert site.ask_environment() == environment
    assert [site.pool(number)["size"] for number in range(2)] == [20, 20]
    assert site.detailed()["status"] == "healthy"


@pytest.mark.slow
def test_an_agent_that_does_not_read_the_variables_is_found_out(site):
    settings = site.home / "releases" / "1.4.1" / "src" / "settings.py"
    settings.write_text(settings.read_text().replace('"DB_POOL_SIZE"', '"SIZE_OF_THE_POOL"'))
    outcome = set_pool(site, 8, 2)
    assert outcome["reason"] == "failed_state"
    assert "runs with a pool of 20 + 2" in outcome["msg"]
    assert "it reads DB_POOL_SIZE" in outcome["msg"]
    [table] = outcome["tables"]
    assert [row[2] for row in table["rows"]] == ["20 + 2", "20 + 2"]
    assert site.pool()["max_overflow"] == 10, "taken back"


def test_a_run_that_was_killed_is_finished_by_the_next(site):
    first, second = (site.pids()[name] for name in site.names(2))
    arguments = {"home": str(site.home), "port": site.port, "host": "127.0.0.1"}
    arguments.update(pool_size=8, max_overflow=2, pool_timeout_s=2.5, stable_s=0.05)
    run = start_operation("tuning", "connection_pool", **arguments)
    eventually(lambda: site.pids().get(site.names()[0]) not in (first, None))
    run.kill()
    assert site.pids()[site.names()[1]] == second
    outcome = succeeded(set_pool(site, 8, 2, timeout_s=60))
    assert outcome["changed"]
    assert [site.pool(number)["size"] for number in range(2)] == [8, 8]
    assert not succeeded(set_pool(site, 8, 2))["changed"]


def test_a_stopped_agent_is_not_started_by_its_pool(site):
    site.agent("stopped")
    outcome = set_pool(site, 8, 2)
    assert outcome["reason"] == "precondition"
    assert "it is stopped on purpose" in outcome["msg"]
    assert not site.serving()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pool_size": 0}, "no limit at all"),
        ({"pool_size": -1}, "pool_size"),
        ({"max_overflow": -2}, "max_overflow"),
        ({"pool_timeout_s": 0}, "pool_timeout_s"),
        ({"workers": 0}, "workers"),
        ({"outside_pool": -1}, "outside_pool"),
    ],
)
def test_bad_input_is_refused_before_anything_is_looked_at(tmp_path, changes, words):
    arguments = {"home": str(tmp_path), **changes}
    outcome = run_operation(CONNECTION_POOL, **arguments)
    assert outcome["reason"] == "invalid_input"
    assert words in outcome["msg"]
    assert not list(tmp_path.iterdir())

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tuning with a load before and after, as an operator runs it on the real agent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.component.agent_site import PLANTED_SECRET, Site
from tests.component.backup_place import secret
from tests.component.playbook_run import Run

LOAD = {
    "cost_agent_load_rate": 40,
    "cost_agent_load_s": 2,
    "cost_agent_load_warm_up_s": 0.5,
    "cost_agent_load_timeout_s": 60,
    "cost_agent_load_path": "/api/v1/costs/summary",
    "cost_agent_health_headers": {"X-Token": PLANTED_SECRET},
}
POOL = {"cost_agent_pool_size": 5, "cost_agent_pool_max_overflow": 1}


@pytest.fixture
def reports(tmp_path) -> Path:
    return tmp_path / "reports"


def tune(site: Site, playbook: str, reports: Path, *options: str, **variables: Any) -> Run:
    given = {**LOAD, "cost_agent_load_report": f"{reports}/report.html", **variables}
    return site.play(playbook, "-e", json.dumps(given), *options, COLUMNS="80")


def loads(run: Run) -> dict[str, dict[str, Any]]:
    """The results of load_test, by the task's name."""
    return {
        each["task"].rpartition(" : ")[2]: each["result"]
        for each in run.results
        if each["action"].endswith("load_test") and not each["result"].get("skipped")
    }


def asked(site: Site) -> int:
    """How many requests of loads the agent has logged."""
    logs = site.home.glob("log/*.log")
    return sum(log.read_text().count('"path": "/api/v1/costs/summary"') for log in logs)


def test_the_pool_is_tuned_between_two_loads(deployed, reports):
    run = tune(deployed, "tune_pool", reports, **POOL)
    assert (run.code, run.changed) == (0, ["Connection pool"]), run.output
    found = loads(run)
    assert list(found) == ["Plan of the load", "Load before", "Load after"]
    for name in ("Load before", "Load after"):
        state = found[name]["state"]
        assert (state["requests"], state["failed"], state["replicas"]) == (80, 0, 2)
        assert 0 < state["answers_a_second"] <= 41
    assert asked(deployed) == 2 * (80 + 20)
    page = (reports / "report.html").read_text()
    for words in ("DB_POOL_SIZE", "DB_MAX_OVERFLOW", "<svg", "before", "after"):
        assert words in page
    assert "DB_POOL_TIMEOUT" not in page, "it was not changed"
    [stats] = [
        e["result"]["ansible_stats"] for e in run.results if e["task"].endswith("Load after")
    ]
    assert set(stats["data"]["cost_agent_load"]["cost-agent"]) == {"latest", "before"}
    for text in (page, run.output, json.dumps(run.results)):
        assert PLANTED_SECRET not in text
    lines = [line for line in run.output.splitlines() if str(reports) not in line]  # one word
    assert max(map(len, lines)) <= 80, run.output


def test_a_second_run_sends_nothing_and_writes_nothing(deployed, reports):
    before = asked(deployed)
    run = tune(deployed, "tune_pool", reports, **POOL)
    assert (run.code, run.changed, loads(run)) == (0, [], {}), run.output
    assert "no load is sent" in run.output
    assert not reports.exists()
    assert asked(deployed) == before


@pytest.mark.parametrize(
    ("playbook", "options"),
    [
        ("tune_pool", ["--check", "--diff"]),
        ("tune_cache", ["-e", "cost_agent_tuning_mode=plan"]),
        ("tune", ["--check", "--diff"]),
    ],
)
def test_a_plan_tells_of_the_load_and_sends_none(deployed, reports, playbook, options):
    before = asked(deployed)
    changes = {"cost_agent_pool_size": 6, "cost_agent_cache_settings": {"maxmemory": "700mb"}}
    run = tune(deployed, playbook, reports, *options, **changes, **cache(deployed))
    assert run.code == 0, run.output
    assert list(loads(run)) == ["Plan of the load"]
    assert "would send 100 requests to 2 replicas" in " ".join(run.output.split())
    assert not reports.exists()
    assert asked(deployed) == before


@pytest.mark.slow
def test_without_a_rate_there_is_no_load(deployed, reports):
    run = tune(deployed, "tune_pool", reports, cost_agent_load_rate="", cost_agent_pool_size=7)
    assert (run.code, run.changed, loads(run)) == (0, ["Connection pool"], {}), run.output
    assert not reports.exists()


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"cost_agent_load_rate": 0}, "invalid_input"),
        ({"cost_agent_load_path": "summary"}, "invalid_input"),
        ({"cost_agent_load_report": "/dev/null/report.html"}, "precondition"),
        ({"cost_agent_load_path": "/api/v1/nothing"}, "precondition"),
    ],
)
def test_a_load_that_cannot_be_measured_ends_it_before_the_change(
    deployed, reports, variables, reason
):
    pids = [deployed.pid(0), deployed.pid(1)]
    run = tune(deployed, "tune_pool", reports, cost_agent_pool_size=8, **variables)
    assert (run.code, run.changed) == (2, []), run.output
    assert run.result_of("load_test")["reason"] == reason
    assert [deployed.pid(0), deployed.pid(1)] == pids


def cache(site: Site) -> dict[str, Any]:
    server = site.servers["redis"]
    return {
        "cost_agent_cache_host": server["host"],
        "cost_agent_cache_port": server["port"],
        "cost_agent_cache_password": secret(server["password_file"]),
    }


def test_a_mode_that_is_none_sends_no_load(deployed, reports):
    before = asked(deployed)
    run = tune(deployed, "tune_cache", reports, cost_agent_tuning_mode="aply", **cache(deployed))
    assert (run.code, loads(run)) == (2, {}), run.output
    assert asked(deployed) == before


@pytest.mark.slow
def test_the_cache_is_tuned_between_two_loads_and_once(deployed, reports):
    settings = {"cost_agent_cache_settings": {"maxmemory": "900mb"}, **cache(deployed)}
    run = tune(deployed, "tune_cache", reports, **settings)
    assert (run.code, run.changed) == (0, ["Cache settings"]), run.output
    assert list(loads(run)) == ["Plan of the load", "Load before", "Load after"]
    assert "943718400" in (reports / "report.html").read_text()
    (reports / "report.html").unlink()
    again = tune(deployed, "tune_cache", reports, **settings)
    assert (again.code, again.changed, loads(again)) == (0, [], {}), again.output
    assert list(reports.iterdir()) == []


@pytest.mark.slow
def test_pool_and_cache_are_tuned_between_the_same_two_loads(deployed, reports):
    settings = {"cost_agent_cache_settings": {"maxmemory": "800mb"}, **cache(deployed)}
    run = tune(deployed, "tune", reports, cost_agent_pool_size=9, **settings)
    assert (run.code, run.changed) == (0, ["Connection pool", "Cache settings"]), run.output
    assert list(loads(run)) == ["Plan of the load", "Load before", "Load after"]
    page = (reports / "report.html").read_text()
    for words in ("DB_POOL_SIZE", "maxmemory", "838860800"):
        assert words in page

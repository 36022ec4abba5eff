# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""scale.yml, autoscale.yml and deploy.yml keep to the connection budget, or go over it on record."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.state_store import (
    FileStateStore,
)

from tests.component.agent_site import AGENT_SOURCE, Site, environment
from tests.component.playbook_run import Run

# The guide's pool: four replicas of it are more than a default server has connections for.
GUIDE = {"DB_POOL_SIZE": 20, "DB_MAX_OVERFLOW": 10}
UNREACHABLE = {"cost_agent_database_host": "127.0.0.1", "cost_agent_database_port": "1"}


@pytest.fixture(scope="module")
def site(tmp_path_factory, demo_stack) -> Iterator[Site]:
    variables = {"cost_agent_environment": {**environment(demo_stack), **GUIDE}}
    site = Site(tmp_path_factory.mktemp("budget"), demo_stack, variables)
    try:
        run = site.deploy("1.4.1")
        assert run.code == 0, run.output
        yield site
    finally:
        site.play("stop", "-e", "cost_agent_stop_grace_s=5")
        site.close()


def play(site: Site, playbook: str, **variables: Any) -> Run:
    return site.play(playbook, "-e", json.dumps(variables))


def refusal(run: Run) -> str:
    assert (run.code, run.changed) == (2, []), run.output
    result = run.result_of("connection_pool_info")
    assert result["reason"] == "budget"
    assert "max_connections" in result["msg"]
    return str(result["msg"])


def overdrafts(site: Site) -> list[dict[str, Any]]:
    store = FileStateStore(site.folder / "state")
    keys = store.list("history/over_budget/cost-agent")
    return [json.loads(entry.data) for key in keys if (entry := store.read(key))]


def test_a_scale_that_the_database_cannot_take_is_refused_before_it_begins(site):
    for options in ([], ["--check"]):
        run = site.play("scale", "-e", "cost_agent_replicas=4", *options)
        words = refusal(run)
        assert "Failed to scale cost-agent to 4 replicas: " in words
        assert "120 + 4 beside its pools" in words
        assert "allow 3 replicas at the most" in words
    assert sorted(site.serving()) == [0, 1]
    assert overdrafts(site) == []


@pytest.mark.slow
def test_on_purpose_it_is_made_and_recorded_and_going_back_down_needs_no_leave(site):
    run = play(site, "scale", cost_agent_replicas=5, cost_agent_allow_over_budget="yes",
               awx_user_name="the night shift")  # fmt: skip
    assert run.code == 0, run.output
    assert sorted(site.serving()) == [0, 1, 2, 3, 4]
    [record] = overdrafts(site)
    assert (record["by"], record["purpose"]) == (
        "the night shift",
        "scale cost-agent to 5 replicas",
    )
    for count in (4, 2):  # 4 are over the budget still
        assert play(site, "scale", cost_agent_replicas=count).code == 0
    assert sorted(site.serving()) == [0, 1]
    assert len(overdrafts(site)) == 1


def test_the_guides_autoscaler_is_refused_and_no_policy_is_set(site):
    small = {"cost_agent_autoscaler_min": 1, "cost_agent_autoscaler_cpu_window_s": 0}
    words = refusal(play(site, "autoscale", **small))
    assert "let cost-agent scale up to 10 replicas" in words
    assert "300 + 10 beside its pools" in words
    store = FileStateStore(site.folder / "state")
    assert store.list("autoscaler/cost-agent") == []
    run = play(site, "autoscale", cost_agent_autoscaler_max=3, **small)
    assert run.code == 0, run.output
    again = play(site, "autoscale", cost_agent_autoscaler_max=3, **small)
    weighed = [r for r in again.results if r["task"].endswith("Connection budget")]
    assert weighed == [], "a timer weighs what is in force no more"
    assert play(site, "autoscale", cost_agent_autoscaler_state="absent", **small).code == 0


def test_a_deploy_is_weighed_with_the_environment_that_it_brings(site):
    larger = {
        "cost_agent_release": "1.4.2",
        "cost_agent_release_source": str(AGENT_SOURCE),
        "cost_agent_environment": {**site.environment(), "DB_POOL_SIZE": 60},
    }
    words = refusal(play(site, "deploy", **larger))
    assert "Failed to deploy release 1.4.2 of cost-agent: " in words
    assert "2 replicas x 1 worker x (60 + 10), 140 + 2 beside its pools" in words
    assert site.serving() == {0: "1.4.1", 1: "1.4.1"}


@pytest.mark.slow
def test_the_pools_variables_join_the_environment_that_does_not_say_them(site):
    given = {k: v for k, v in site.environment().items() if not k.startswith("DB_")}
    run = play(site, "start", cost_agent_environment=given, cost_agent_pool_size="6",
               cost_agent_pool_max_overflow=0)  # fmt: skip
    assert run.code == 0, run.output
    url = f"http://127.0.0.1:{site.port}/api/v1/health/detailed"
    with urllib.request.urlopen(url, timeout=300) as answer:
        pool = json.load(answer)["pool"]
    assert (pool["size"], pool["max_overflow"], pool["timeout_s"]) == (6, 0, 30)
    assert site.play("start").code == 0


def test_a_database_that_cannot_be_asked_is_told_and_holds_nothing_up(site):
    run = play(site, "scale", cost_agent_replicas=2, **UNREACHABLE)
    assert (run.code, run.changed) == (0, []), run.output
    assert "127.0.0.1:1" in run.output
    required = {**UNREACHABLE, "cost_agent_budget_required": True}
    run = play(site, "scale", cost_agent_replicas=2, **required)
    assert run.code == 2
    assert run.result_of("connection_pool_info")["reason"] == "unreachable"


def test_the_controller_asks_the_database_for_a_host_that_is_not_its_own(site, demo_stack):
    server = demo_stack["postgres"]
    # By any other name than `local` it may be anywhere.
    away = {
        "ansible_connection": "ansible.builtin.local",
        "ansible_host": "127.0.0.1",
        "cost_agent_database_host": server["host"],
        "cost_agent_database_port": str(server["port"]),
        "cost_agent_database_user": server["user"],
        "cost_agent_database_password_file": server["password_file"],
    }
    run = play(site, "scale", cost_agent_replicas=4, **away)
    assert "120 + 4 beside its pools" in refusal(run)
    tasks = [r["task"].rpartition(" : ")[2] for r in run.results]
    assert tasks == ["Database from here", "Connection budget"]
    run = play(site, "scale", cost_agent_replicas=2, **{**away, "cost_agent_database_port": "1"})
    assert (run.code, run.changed) == (0, []), run.output
    assert "127.0.0.1:1" in run.output

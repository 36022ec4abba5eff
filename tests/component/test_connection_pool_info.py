# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""connection_pool_info looks at a real agent on a real server, and requires its budget."""

from __future__ import annotations

import contextlib
import json
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.state_store import (
    FileStateStore,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.agent_autoscaler import (
    AGENT_AUTOSCALER,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.queueing import (
    connections_needed,
)

from tests.component.pool_site import PoolSite
from tests.waiting import eventually


@pytest.fixture(scope="module")
def serving(tmp_path_factory, demo_stack) -> Iterator[PoolSite]:
    site = PoolSite(tmp_path_factory.mktemp("pool"), demo_stack)
    try:
        site.deploy()
        outcome = site.start(2)
        assert not outcome.get("failed"), outcome
        yield site
    finally:
        site.agent("stopped")
        site.close()


def succeeded(outcome: dict[str, Any]) -> dict[str, Any]:
    assert not outcome.get("failed"), outcome["msg"]
    assert not outcome["changed"]
    return outcome


def overdrafts(site: PoolSite) -> list[dict[str, Any]]:
    store = FileStateStore(site.home / "state")
    keys = store.list("history/over_budget/cost-agent")
    return [json.loads(entry.data) for key in keys if (entry := store.read(key))]


def test_pools_are_told_as_deployed_and_as_running(serving):
    state = succeeded(serving.pool_info())["state"]
    guide = {"size": 20, "max_overflow": 10, "timeout_s": 30.0}
    assert state["deployed"] == guide
    assert [replica["running"] for replica in state["replicas"]] == [guide, guide]
    assert state["budget"]["checks"][0]["agent"] == 60
    assert state["budget"]["verdict"] == "within"
    assert state["advice"]["pool"] is None, "two requests are no load to advise on"


def test_others_are_everybody_but_the_agent(serving):
    with serving.session("a report"), serving.session("cost-agent-backup"):
        state = succeeded(serving.pool_info())["state"]
    assert state["others"] == {"server": 2, "role": 2, "database": 2, "seen": "most today"}
    groups = {group["application"]: group for group in state["sessions"]}
    assert groups["a report"]["state"] == "idle"
    assert groups["a report"]["oldest_s"] >= 0
    assert [name for name, each in groups.items() if each["is_agent"]] == ["cost-agent 1.4.1"]


def test_their_peak_is_remembered_and_check_mode_remembers_nothing(serving):
    with contextlib.ExitStack() as sessions:
        for _number in range(9):
            sessions.enter_context(serving.session())
        assert succeeded(serving.pool_info(check=True))["state"]["others"]["server"] == 9
        before = succeeded(serving.pool_info(looks=1))["state"]["others"]["server"]
    after = succeeded(serving.pool_info())["state"]["others"]["server"]
    assert (before, after) == (9, 9)


def test_an_open_transaction_is_seen_with_its_age(serving):
    with serving.session("a report") as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN")
        state = succeeded(serving.pool_info())["state"]
    [group] = [each for each in state["sessions"] if each["application"] == "a report"]
    assert group["state"] == "idle in transaction"
    assert group["oldest_transaction_s"] > 0


def test_the_guides_ten_replicas_are_refused_with_the_table(serving):
    outcome = serving.pool_info(
        replicas=10, require_within_budget=True, purpose="scale to 10 replicas", others_at_peak=14
    )
    assert outcome["reason"] == "budget"
    assert "Failed to scale to 10 replicas: " in outcome["msg"]
    assert "300 + 10 beside its pools + 14 others > 97" in outcome["msg"]
    assert "set pool_size 7 with max_overflow 0" in outcome["msg"]
    assert "raise max_connections to 327" in outcome["msg"]
    rows = outcome["tables"][0]["rows"]
    assert ["agent at its ceiling", "10 replicas x 1 worker x (20 + 10)", "300"] in rows
    assert ["over: server", "300 + 10 + 14 > 97", "227"] in rows


def test_going_over_is_recorded_when_it_is_allowed_and_not_in_check_mode(serving):
    arguments = {
        "replicas": 10,
        "require_within_budget": True,
        "allow_over_budget": True,
        "purpose": "scale to 10 replicas",
        "requested_by": "the night shift",
    }
    foretold = succeeded(serving.pool_info(check=True, **arguments))
    assert (foretold["actions"], overdrafts(serving)) == (
        ["Would record that it goes over the budget"],
        [],
    )
    succeeded(serving.pool_info(**arguments))
    [record] = overdrafts(serving)
    assert (record["by"], record["purpose"]) == ("the night shift", "scale to 10 replicas")
    assert record["figures"].startswith("300 + 10 beside its pools")
    assert record["budget"]["verdict"] == "over"


def test_an_autoscalers_maximum_is_the_ceiling(serving):
    policy = {"min": 1, "cpu_window_s": 0}
    try:
        serving.run(AGENT_AUTOSCALER, max=6, **policy)
        ceiling = succeeded(serving.pool_info())["state"]["ceiling"]
        assert ceiling == {"replicas": 6, "source": "its autoscaler's max"}
        assert succeeded(serving.pool_info(replicas=8))["state"]["ceiling"]["replicas"] == 8
        assert succeeded(serving.pool_info(max_replicas=4))["state"]["ceiling"]["replicas"] == 4
    finally:
        serving.run(AGENT_AUTOSCALER, state="absent", **policy)


def test_the_environment_to_come_is_weighed_instead_of_the_present_one(serving):
    environment = {**serving.variables, "DB_POOL_SIZE": 5, "DB_MAX_OVERFLOW": -1}
    outcome = serving.pool_info(environment=environment, require_within_budget=True)
    assert outcome["reason"] == "budget"
    assert "no bound" in outcome["msg"]


def test_limits_of_role_and_database_are_seen(serving):
    serving.sql("ALTER ROLE cost_agent CONNECTION LIMIT 61", superuser=True)
    serving.sql("ALTER DATABASE cost_agent CONNECTION LIMIT 63", superuser=True)
    try:
        budget = succeeded(serving.pool_info(others_at_peak=0))["state"]["budget"]
        limits = {check["name"]: check["available"] for check in budget["checks"]}
        assert limits == {"server": 97, "role": 61, "database": 63}
        assert budget["verdict"] == "over"
    finally:
        serving.sql("ALTER ROLE cost_agent CONNECTION LIMIT -1", superuser=True)
        serving.sql("ALTER DATABASE cost_agent CONNECTION LIMIT -1", superuser=True)


def test_who_may_not_see_all_statistics_still_counts_all_sessions(serving):
    serving.sql("CREATE ROLE watcher LOGIN PASSWORD 'watching-words'", superuser=True)
    server = serving.stack["postgres"]
    option = {"host": server["host"], "port": server["port"], "user": "watcher",
              "password": "watching-words"}  # fmt: skip
    with serving.session("a report"):
        outcome = succeeded(serving.pool_info(database=option))
    assert {each["application"] for each in outcome["state"]["sessions"]} >= {"a report"}
    assert outcome["state"]["others"]["role"] >= 1
    assert "pg_read_all_stats" in outcome["state"]["notes"][0]
    assert "watching-words" not in json.dumps(outcome)


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        ({"workers": 0}, "invalid_input", "workers"),
        ({"hosts": 0}, "invalid_input", "hosts"),
        ({"replicas": 0}, "invalid_input", "replicas"),
        ({"looks": 0}, "invalid_input", "looks"),
        ({"window_s": -1}, "invalid_input", "window_s"),
        ({"probe_timeout_s": 0}, "invalid_input", "probe_timeout_s"),
        ({"others_at_peak": -1}, "invalid_input", "others_at_peak"),
        ({"cores": 0}, "invalid_input", "cores"),
        ({"environment": {"DB_POOL_SIZE": "many"}}, "precondition", "DB_POOL_SIZE"),
        ({"environment": {"A B": "1"}}, "invalid_input", "A B"),
        ({"database": {"host": "127.0.0.1", "port": 1}}, "unreachable", "127.0.0.1:1"),
        ({"home": "/nowhere"}, "precondition", "Give the option database"),
    ],
)
def test_what_cannot_be_weighed_says_why(serving, changes, reason, words):
    outcome = serving.pool_info(**changes)
    assert (outcome["reason"], words in outcome["msg"]) == (reason, True), outcome["msg"]


def test_a_wrong_password_is_told_without_it(serving):
    server = serving.stack["postgres"]
    option = {"host": server["host"], "port": server["port"], "user": "cost_agent",
              "password": "not-the-password"}  # fmt: skip
    outcome = serving.pool_info(database=option)
    assert outcome["reason"] == "auth"
    assert "not-the-password" not in json.dumps(outcome)


def test_replicas_with_unequal_pools_are_told(serving):
    # A canary runs the environment to come; the others do not yet.
    serving.agent(
        replicas=2,
        environment={**serving.variables, "DB_POOL_SIZE": 4},
        canary=True,
        timeout_s=60,
    )
    try:
        notes = succeeded(serving.pool_info())["state"]["notes"]
        assert any("unequal pools" in note and "4 + 10" in note for note in notes), notes
    finally:
        serving.start(2)


def test_what_the_controller_saw_of_the_server_is_enough_elsewhere(serving):
    server = serving.stack["postgres"]
    option = {name: server[name] for name in ("host", "port", "user", "password_file")}
    with serving.session("a report"):
        here = serving.pool_info(server_only=True, database=option, home="/nowhere")
    assert here["summary"] == "1 of others, 97 available"
    told = json.loads(json.dumps(here["state"]))  # as a playbook hands it on
    there = succeeded(serving.pool_info(measured=told))["state"]
    assert there["server"] == here["state"]["server"]
    assert there["sessions"] == here["state"]["sessions"]
    assert there["budget"]["verdict"] == "within"
    assert serving.pool_info(measured=told, others_at_peak=50)["state"]["others"]["server"] == 50


@pytest.mark.parametrize("measured", [{}, {"server": {}}, {"server": "text", "pgbouncer": None}])
def test_what_is_no_look_at_a_server_is_refused(serving, measured):
    assert serving.pool_info(measured=measured)["reason"] == "invalid_input"


@pytest.mark.slow
def test_a_real_load_is_advised_on_once_there_is_enough_of_it(serving):
    """Needs a minute: less is no measurement, and is refused as such above."""

    def ask(_number: int) -> None:
        url = f"http://127.0.0.1:{serving.port}/api/v1/recommendations?limit=1"
        with urllib.request.urlopen(url, timeout=300) as answer:
            answer.read()

    with ThreadPoolExecutor(4) as clients:
        list(clients.map(ask, range(1100)))
    eventually(lambda: serving.detailed()["uptime_s"] > 62, limit_s=90, every_s=1)
    state = succeeded(serving.pool_info(cores=2))["state"]
    advice = state["advice"]
    [workload] = [each for each in state["workloads"] if each["checkouts"] >= 1000]
    load = workload["arrivals_per_s"] * workload["held_mean_s"]
    assert workload["load"] == pytest.approx(load, rel=0.01)
    assert advice["needed"] == connections_needed(load)
    assert advice["pool"]["size"] == advice["needed"]
    assert [step.partition(":")[0] for step in advice["steps"]] == [
        "Measured", "Little's law", "Erlang C", "Head room of 20 %", "At the ceiling",
    ]  # fmt: skip

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every platform promises, tried on each of them; a new driver is one more parameter."""

from __future__ import annotations

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.agent_autoscaler import (
    AGENT_AUTOSCALER,
)
from ansible_collections.optiinfra.cost_agent.tests.component.process_platform import (
    ProcessPlatform,
    is_running,
)

from tests.component.operated_platform import TIMEOUT_S

PLATFORMS = [ProcessPlatform]


@pytest.fixture(params=PLATFORMS, ids=lambda platform: platform.platform)
def platform(request, tmp_path):
    running = request.param(tmp_path)
    yield running
    running.close()


@pytest.fixture
def deployed(platform):
    platform.deploy("1.4.1")
    return platform


@pytest.fixture
def started(deployed):
    outcome = deployed.agent()
    assert not outcome.get("failed"), outcome["msg"]
    return deployed


def statuses(outcome):
    return [replica["status"] for replica in outcome["state"]["replicas"]]


def releases(platform, outcome):
    """The versions that run, whatever the platform's releases are called."""
    versions = {platform.release(version): version for version in ("1.4.1", "1.4.2")}
    return [versions[replica["release"]] for replica in outcome["state"]["replicas"]]


def succeeded(outcome):
    assert not outcome.get("failed"), outcome["msg"]
    return outcome


# --- start ------------------------------------------------------------------------------------


def test_a_start_brings_the_count_up_and_ready(deployed):
    outcome = succeeded(deployed.agent())
    assert outcome["changed"]
    assert statuses(outcome) == ["ready"] * 3
    assert releases(deployed, outcome) == ["1.4.1"] * 3
    assert outcome["summary"] == f"3 of 3 ready, release {deployed.release('1.4.1')}"
    assert deployed.serving() == deployed.names()


def test_a_second_start_changes_nothing(started):
    pids = started.pids()
    outcome = succeeded(started.agent())
    assert not outcome["changed"]
    assert outcome["actions"] == []
    assert outcome["diff"]["before"] == outcome["diff"]["after"]
    assert started.pids() == pids


def test_a_start_without_a_release_asks_for_one(platform):
    outcome = platform.agent()
    assert outcome["reason"] == "precondition"
    assert "Deploy a release first" in outcome["msg"]
    assert not platform.serving()


def test_a_start_of_a_release_that_is_not_current_is_refused(deployed):
    outcome = deployed.agent(release=deployed.release("1.4.2"))
    assert outcome["reason"] == "precondition"
    assert "1.4.1" in outcome["msg"]


def test_a_replica_that_died_is_started_again_and_the_others_stay(started):
    before = started.pids()
    first, *others = started.names()
    started.kill(first)
    assert "2 of 3 ready" in started.info()["summary"]
    outcome = succeeded(started.agent())
    assert outcome["changed"]
    assert statuses(outcome) == ["ready"] * 3
    after = started.pids()
    assert after[first] != before[first]
    assert [after[name] for name in others] == [before[name] for name in others]


def test_scaling_keeps_what_runs(started):
    before = started.pids()
    assert len(succeeded(started.agent(replicas=4))["state"]["replicas"]) == 4
    assert len(succeeded(started.agent(replicas=2))["state"]["replicas"]) == 2
    assert started.pids() == {name: before[name] for name in started.names(2)}


def test_no_replicas_is_refused_and_not_taken_for_a_stop(started):
    outcome = started.agent(replicas=0)
    assert outcome["reason"] == "invalid_input"
    assert "stop.yml" in outcome["msg"]
    assert started.serving() == started.names()


# --- deploy and restart -----------------------------------------------------------------------


def test_another_release_replaces_one_replica_at_a_time(started):
    started.deploy("1.4.2")
    outcome = succeeded(started.agent())
    assert releases(started, outcome) == ["1.4.2"] * 3
    assert outcome["summary"] == "3 of 3, none below 2 ready"
    assert not succeeded(started.agent())["changed"]


def test_another_build_of_the_same_release_replaces_too(started):
    started.deploy("1.4.1", source="# changed\n")
    assert succeeded(started.agent())["changed"]


def test_a_canary_is_one_replica_and_the_next_run_goes_on(started):
    before = started.pids()
    started.deploy("1.4.2")
    foretold = succeeded(started.agent(canary=True, check=True))
    outcome = succeeded(started.agent(canary=True))
    assert foretold["diff"] == outcome["diff"]
    assert sorted(releases(started, outcome)) == ["1.4.1", "1.4.1", "1.4.2"]
    assert statuses(outcome) == ["ready"] * 3
    assert not succeeded(started.agent(canary=True))["changed"]
    assert releases(started, succeeded(started.agent())) == ["1.4.2"] * 3
    assert not set(started.pids().values()) & set(before.values())


def test_a_restart_replaces_all_and_never_lets_two_go_at_once(started):
    before = started.pids()
    outcome = succeeded(started.agent("restarted"))
    assert outcome["changed"]
    assert outcome["summary"] == "3 of 3, none below 2 ready"
    assert set(started.pids()) == set(before)
    assert not set(started.pids().values()) & set(before.values())


def test_a_restart_of_a_stopped_agent_starts_it(started):
    succeeded(started.agent("stopped"))
    assert statuses(succeeded(started.agent("restarted"))) == ["ready"] * 3


@pytest.mark.parametrize(
    ("option", "value"), [("workers", 2), ("memory_limit_mb", 300), ("app", "src.main:other")]
)
def test_another_option_replaces(started, option, value):
    if option in started.cannot:
        assert started.agent(replicas=3, **{option: value})["reason"] == "precondition"
        return
    outcome = succeeded(started.agent(replicas=3, **{option: value}))
    assert outcome["changed"]
    assert not succeeded(started.agent(replicas=3, **{option: value}))["changed"]


def test_a_release_that_fails_stops_the_deploy_with_the_others_serving(started):
    before = started.pids()
    started.deploy("1.4.2", source="raise RuntimeError('no such table: costs')\n")
    outcome = started.agent()
    assert outcome["reason"] == "failed_state"
    assert "no such table: costs" in outcome["msg"]
    assert any("no such table" in line for line in outcome["log_tail"])
    assert outcome["changed"]
    assert outcome["duration"] < TIMEOUT_S / 2
    assert started.serving() == started.names()[1:]
    assert all(started.pids()[name] == before[name] for name in started.names()[1:])
    started.deploy("1.4.1")
    outcome = succeeded(started.agent())
    assert releases(started, outcome) == ["1.4.1"] * 3
    assert all(started.pids()[name] == before[name] for name in started.names()[1:])


def test_an_agent_that_another_platform_runs_is_refused(started):
    store = started.home / "state" / "intent" / "cost-agent"
    store.write_text(store.read_text().replace(started.platform, "other"))
    outcome = started.agent()
    assert outcome["reason"] == "precondition"
    assert "platform other runs it" in outcome["msg"]


# --- stop -------------------------------------------------------------------------------------


def test_a_stop_ends_all_and_remembers_the_count(started):
    pids = started.pids()
    outcome = succeeded(started.agent("stopped", replicas=None))
    assert outcome["changed"]
    assert started.serving() == []
    assert not any(map(is_running, pids.values()))
    assert not succeeded(started.agent("stopped", replicas=None))["changed"]
    info, release = started.info(), started.release("1.4.1")
    assert info["summary"] == f"stopped on purpose, 3 remembered, release {release}"
    assert statuses(succeeded(started.agent(replicas=None))) == ["ready"] * 3


def test_a_stop_before_any_start_is_remembered(deployed):
    assert succeeded(deployed.agent("stopped"))["changed"]
    assert deployed.info()["state"]["intent"]["state"] == "stopped"


# --- check mode -------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["started", "stopped", "restarted"])
def test_check_mode_touches_nothing_and_foretells_the_change(started, state):
    started.kill(started.names()[1])
    started.deploy("1.4.2")
    before = started.tree()
    foretold = succeeded(started.agent(state, check=True, environment={"POOL": 1}))
    assert foretold["changed"]
    assert foretold["actions"]
    assert started.tree() == before
    done = succeeded(started.agent(state, environment={"POOL": 1}))
    assert foretold["diff"] == done["diff"]


def test_check_mode_of_a_first_deploy_foretells_it(platform):
    outcome = succeeded(platform.agent(check=True, release=platform.release("1.4.2")))
    assert outcome["changed"]
    assert any("Would start" in action for action in outcome["actions"])
    assert not platform.home.exists()


def test_check_mode_of_a_finished_start_says_unchanged(started):
    assert not succeeded(started.agent(check=True))["changed"]


# --- environment ------------------------------------------------------------------------------


def test_the_environment_reaches_the_replicas(deployed):
    environment = {"POOL": 20, "DEBUG": True, "TEXT": "two\nlines 'and' \"quotes\" $HOME"}
    outcome = succeeded(
        deployed.agent(environment=environment, environment_secrets={"API_TOKEN": "s3cr3t-words"})
    )
    seen = deployed.ask(deployed.names()[0])["environment"]
    assert (seen["POOL"], seen["DEBUG"]) == ("20", "true")
    assert seen["TEXT"] == environment["TEXT"]
    assert seen["API_TOKEN"] == "s3cr3t-words"
    assert seen["RELEASE_ID"] == deployed.release("1.4.1")
    assert "s3cr3t-words" not in str(outcome)


def test_a_changed_environment_replaces_and_an_omitted_one_stays(started):
    assert succeeded(started.agent(environment={"POOL": 20}))["changed"]
    assert not succeeded(started.agent(environment={"POOL": "20"}))["changed"]
    assert not succeeded(started.agent())["changed"]
    outcome = succeeded(started.agent(environment_secrets={"API_TOKEN": "s3cr3t-words"}))
    assert outcome["diff"]["after"]["environment"] == {"API_TOKEN": "********", "POOL": "20"}
    seen = started.ask(started.names()[0])["environment"]
    assert (seen["POOL"], seen["API_TOKEN"]) == ("20", "s3cr3t-words")


def recorded_good(platform, **environment):
    succeeded(platform.agent(**environment))
    assert succeeded(platform.record_good())["changed"]
    assert not succeeded(platform.record_good())["changed"]
    assert not succeeded(platform.roll_back())["changed"]


def environments(platform):
    """What each replica has of the variables that these tests give."""
    given = ("KEPT", "API_TOKEN", "DB_POOL_SIZE")
    seen = [platform.ask(name)["environment"] for name in platform.names()]
    return [{name: each[name] for name in given if name in each} for each in seen]


def test_an_environment_that_the_canary_fails_with_is_taken_back(started):
    recorded_good(started, environment={"KEPT": 1}, environment_secrets={"API_TOKEN": "s3cr3t"})
    before = set(started.pids().items())
    failed = started.agent(canary=True, environment={"DB_POOL_SIZE": 13})
    assert failed["reason"] in ("failed_state", "timeout")
    tree = started.tree()
    assert succeeded(started.roll_back(check=True))["changed"]
    assert started.tree() == tree
    back = succeeded(started.roll_back())
    assert back["summary"] == f"to what {started.release('1.4.1')} ran with"
    assert back["actions"] == [f"Brought back what {started.release('1.4.1')} ran with"]
    assert "s3cr3t" not in str(back)
    assert statuses(succeeded(started.agent())) == ["ready"] * 3
    assert environments(started) == [{"KEPT": "1", "API_TOKEN": "s3cr3t"}] * 3
    assert len(before & set(started.pids().items())) >= 2
    assert not succeeded(started.roll_back())["changed"]
    assert not succeeded(started.agent())["changed"]


def test_an_environment_that_all_replicas_have_is_taken_back_too(started):
    recorded_good(started, environment={"KEPT": 1})
    succeeded(started.agent(environment={"KEPT": 2}, environment_secrets={"API_TOKEN": "s3cr3t"}))
    assert succeeded(started.roll_back())["changed"]
    succeeded(started.agent())
    assert environments(started) == [{"KEPT": "1"}] * 3
    assert not succeeded(started.roll_back())["changed"]


def test_an_earlier_release_comes_back_with_the_environment_that_it_proved_good_with(started):
    recorded_good(started, environment={"KEPT": 1}, environment_secrets={"API_TOKEN": "s3cr3t"})
    started.deploy("1.4.2")
    succeeded(started.agent(environment={"KEPT": 2}, environment_secrets={}))
    succeeded(started.roll_back())
    assert releases(started, succeeded(started.agent())) == ["1.4.1"] * 3
    assert environments(started) == [{"KEPT": "1", "API_TOKEN": "s3cr3t"}] * 3


def test_a_pool_joins_the_environment_that_there_is(started):
    succeeded(started.agent(environment={"KEPT": 1}, environment_secrets={"API_TOKEN": "s3cr3t"}))
    foretold = succeeded(started.set_pool(8, 2, check=True))
    done = succeeded(started.set_pool(8, 2))
    assert (foretold["changed"], done["changed"]) == (True, True)
    for name in started.names():
        seen = started.ask(name)["environment"]
        assert (seen["DB_POOL_SIZE"], seen["DB_MAX_OVERFLOW"]) == ("8", "2")
        assert (seen["KEPT"], seen["API_TOKEN"]) == ("1", "s3cr3t")
    again = succeeded(started.set_pool(8, 2))
    assert (again["changed"], again["actions"]) == (False, [])


def test_a_pool_that_the_agent_does_not_start_with_is_taken_back(started):
    succeeded(started.agent(environment={"KEPT": 1}, environment_secrets={"API_TOKEN": "s3cr3t"}))
    outcome = started.set_pool(13, 0)
    assert outcome["reason"] in ("failed_state", "timeout")
    assert "The environment before was put back: " in outcome["msg"]
    assert statuses(started.info()) == ["ready"] * 3
    for name in started.names():
        seen = started.ask(name)["environment"]
        assert "DB_POOL_SIZE" not in seen
        assert (seen["KEPT"], seen["API_TOKEN"]) == ("1", "s3cr3t")
    again = started.agent(environment={"KEPT": 1}, environment_secrets={"API_TOKEN": "s3cr3t"})
    assert not succeeded(again)["changed"]


def test_a_pool_over_the_budget_is_refused_with_the_largest_and_touches_nothing(started):
    pids = started.pids()
    for check in (True, False):
        outcome = started.set_pool(30, 10, check=check)
        assert outcome["reason"] == "budget"
        assert "3 replicas x 1 worker x (30 + 10), 120 + 0 others > 97" in outcome["msg"]
        assert "Set pool_size 22 with max_overflow 10" in outcome["msg"]
    assert started.pids() == pids


def test_a_changed_secret_shows_that_it_changed_and_not_what(started):
    succeeded(started.agent(environment_secrets={"API_TOKEN": "s3cr3t-words"}))
    outcome = succeeded(started.agent(environment_secrets={"API_TOKEN": "other-w0rds"}))
    assert outcome["changed"]
    assert outcome["diff"]["before"] != outcome["diff"]["after"]
    assert "s3cr3t-words" not in str(outcome)
    assert "other-w0rds" not in str(outcome)


# --- info, logs, preflight --------------------------------------------------------------------


def test_info_of_nothing_is_not_a_failure(platform):
    outcome = succeeded(platform.info())
    assert outcome["summary"] == "not installed"
    assert not platform.home.exists()


def test_info_of_a_release_that_never_ran(deployed):
    summary = succeeded(deployed.info())["summary"]
    assert summary == f"never started, release {deployed.release('1.4.1')}"


def test_info_measures_usage(started):
    outcome = succeeded(started.agent(replicas=3, memory_limit_mb=100))
    outcome = succeeded(started.info())
    assert not outcome["changed"]
    assert outcome["summary"] == f"3 of 3 ready, release {started.release('1.4.1')}"
    for replica in outcome["state"]["replicas"]:
        usage = replica["usage"]
        assert replica["up_to_date"]
        assert usage["memory_limit_bytes"] == 100 * 1024 * 1024
        assert 1_000_000 < usage["memory_bytes"] < 100_000_000
        assert usage["cpu_seconds"] > 0
        assert 0 < usage["uptime_s"] < TIMEOUT_S
        assert usage["cpu_percent"] is None
    assert outcome["tables"] == []


def test_info_watches_the_cpu_for_a_while(started):
    outcome = succeeded(started.info(cpu_window_s=0.2))
    for replica in outcome["state"]["replicas"]:
        assert 0 <= replica["usage"]["cpu_percent"] < 100
        assert 0.1 < replica["usage"]["cpu_window_s"] < TIMEOUT_S


def test_info_watches_no_longer_than_a_minute(platform):
    for seconds in (-1, 61, float("nan")):
        assert platform.info(cpu_window_s=seconds)["reason"] == "invalid_input"


def test_the_autoscaler_measures_every_replica_where_the_platform_does_not_scale(started):
    state = succeeded(started.run(AGENT_AUTOSCALER, cpu_window_s=1))["state"]
    shown = [state[key] for key in ("scaled_by", "current_replicas", "desired_replicas")]
    assert shown == ["agent", 3, 3]
    assert all(0 <= state["replicas"][name] < 70 for name in started.names())


def test_logs_are_the_newest_lines_of_each_replica_without_secrets(started):
    succeeded(started.agent(environment_secrets={"API_TOKEN": "s3cr3t-words"}))
    outcome = succeeded(started.logs(lines=1))
    logs = outcome["state"]["replicas"]
    assert list(logs) == started.names()
    assert all(len(lines) == 1 and "secret ********" in lines[0] for lines in logs.values())
    assert outcome["summary"] == "3 lines of 3 replicas"


def test_logs_of_one_replica_and_since(started):
    name = started.names()[0]
    assert list(started.logs(replica=name)["state"]["replicas"]) == [name]
    assert started.logs(since="2h")["state"]["replicas"][name]
    assert not started.logs(since="2999-01-01T00:00:00Z")["state"]["replicas"][name]
    assert started.logs(replica="cost-agent-999")["reason"] == "invalid_input"


def test_logs_of_nothing_are_not_a_failure(platform):
    assert succeeded(platform.logs())["summary"] == "no log yet"


def test_preflight_passes_before_and_after_a_start(started):
    ports = f"port range {started.port}-{started.port + 2} free"
    outcome = succeeded(started.preflight())
    assert outcome["summary"].endswith(ports)
    assert all(check["ok"] for check in outcome["state"]["checks"])


def test_preflight_creates_nothing(platform):
    succeeded(platform.preflight())
    assert not platform.home.exists()


def test_ports_beyond_the_last_one_are_refused(deployed):
    outcome = deployed.agent(port=65534)
    assert outcome["reason"] == "invalid_input"
    assert "65536" in outcome["msg"]


# --- input ------------------------------------------------------------------------------------


BAD_INPUT = [
    ("replicas", -1),
    ("port", 0),
    ("port", 65536),
    ("name", "Cost_Agent"),
    ("home", "relative"),
    ("host", "not a host"),
    ("app", "src/main.py"),
    ("ready_path", "ready"),
    ("ready_path", "/ready\r\nX: y"),
    ("workers", 0),
    ("memory_limit_mb", 0),
    ("timeout_s", 0),
    ("timeout_s", float("nan")),
    ("timeout_s", 5),
    ("stop_grace_s", -1),
    ("stable_s", -1),
    ("state_store", "ftp://somewhere/else"),
    ("environment", {"1BAD": "x"}),
    ("environment", {"RELEASE_ID": "x"}),
    ("environment", {"NESTED": {"a": 1}}),
    ("environment_secrets", {"NUL": "a\0b"}),
]


def test_bad_input_is_named_and_changes_nothing(deployed):
    before = deployed.tree()
    outcomes = {
        (option, str(value)): deployed.agent(**{option: value}) for option, value in BAD_INPUT
    }
    for (option, value), outcome in outcomes.items():
        assert outcome.get("reason") == "invalid_input", (option, value, outcome)
        assert option.replace("_", " ") in outcome["msg"].replace("_", " "), (option, value)
    assert deployed.tree() == before


# For the tests of another platform: `globals().update(CONTRACT)`, and a fixture `platform`.
CONTRACT = {name: each for name, each in dict(globals()).items() if name.startswith("test_")}
CONTRACT |= {"deployed": deployed, "started": started}

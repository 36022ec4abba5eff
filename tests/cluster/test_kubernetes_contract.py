# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The contract of all platforms on a real cluster.

What Kubernetes does otherwise stands here by the same name: its pods get new names, it adds the new
one before it takes the old one away, and it replaces one that died by itself.
"""

from __future__ import annotations

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.agent_autoscaler import (
    AGENT_AUTOSCALER,
)

from tests.cluster.kubernetes_platform import AGENT_RELEASE, KubernetesPlatform
from tests.component.operated_platform import TIMEOUT_S
from tests.component.test_platform_contract import CONTRACT, releases, statuses, succeeded
from tests.waiting import eventually

globals().update(CONTRACT)


@pytest.fixture
def platform(cluster, tmp_path):
    running = KubernetesPlatform(cluster, tmp_path)
    yield running
    running.close()


def test_a_replica_that_died_is_started_again_and_the_others_stay(started):
    before = started.pids()
    first, *others = started.names()
    started.kubectl("delete", "pod", first, "--wait=false")
    eventually(lambda: first not in started.names())
    outcome = succeeded(started.agent())
    assert statuses(outcome) == ["ready"] * 3
    after = started.pids()
    assert first not in after
    assert [after[name] for name in others] == [before[name] for name in others]


def test_scaling_keeps_what_runs(started):
    """Which ones go is the ReplicaSet's choice: among pods of like age it draws lots."""
    three = started.pids()
    succeeded(started.agent(replicas=4))
    four = started.pids()
    assert three.items() <= four.items()
    succeeded(started.agent(replicas=2))
    assert len(started.pids()) == 2
    assert started.pids().items() <= four.items()


def test_another_release_replaces_one_replica_at_a_time(started):
    started.deploy("1.4.2")
    outcome = succeeded(started.agent())
    assert releases(started, outcome) == ["1.4.2"] * 3
    assert outcome["summary"] == "3 of 3, none below 3 ready"
    assert not succeeded(started.agent())["changed"]


def test_another_build_of_the_same_release_replaces_too(started):
    """What an id names never changes: another build is another digest, or another tag."""
    started.deploy("1.4.1", source="# changed\n")
    assert not succeeded(started.agent())["changed"]


def test_a_canary_is_one_replica_and_the_next_run_goes_on(started):
    before = started.pids()
    started.deploy("1.4.2")
    foretold = succeeded(started.agent(canary=True, check=True))
    outcome = succeeded(started.agent(canary=True))
    assert foretold["diff"] == outcome["diff"]
    assert sorted(releases(started, outcome)) == ["1.4.1", "1.4.1", "1.4.1", "1.4.2"]
    assert statuses(outcome) == ["ready"] * 4
    assert not succeeded(started.agent(canary=True))["changed"]
    assert releases(started, succeeded(started.agent())) == ["1.4.2"] * 3
    assert not set(started.pids().values()) & set(before.values())


def test_a_restart_replaces_all_and_never_lets_two_go_at_once(started):
    before = started.pids()
    outcome = succeeded(started.agent("restarted"))
    assert outcome["changed"]
    assert outcome["summary"] == "3 of 3, none below 3 ready"
    assert not set(started.pids().values()) & set(before.values())


def test_a_release_that_fails_stops_the_deploy_with_the_others_serving(started):
    before = started.pids()
    started.deploy("1.4.2", source="raise RuntimeError('no such table: costs')\n")
    outcome = started.agent()
    assert outcome["reason"] == "failed_state"
    assert "no such table: costs" in outcome["msg"]
    assert any("no such table" in line for line in outcome["log_tail"])
    assert any("Back-off restarting" in event for event in outcome["events"])
    assert outcome["changed"]
    assert outcome["duration"] < TIMEOUT_S / 2
    assert before.items() <= started.pids().items()
    started.deploy("1.4.1")
    outcome = succeeded(started.agent())
    assert releases(started, outcome) == ["1.4.1"] * 3
    assert started.pids() == before


def test_an_agent_that_another_platform_runs_is_refused(started, tmp_path):
    store = f"file://{tmp_path}/state"
    started.run(AGENT_RELEASE, release="cost-agent:1.4.1", state_store=store)
    succeeded(started.agent(state_store=store))
    intent = tmp_path / "state" / "intent" / "cost-agent"
    intent.write_text(intent.read_text().replace("kubernetes", "other"))
    outcome = started.agent(state_store=store)
    assert outcome["reason"] == "precondition"
    assert "platform other runs it" in outcome["msg"]


def test_a_stop_ends_all_and_remembers_the_count(started):
    outcome = succeeded(started.agent("stopped", replicas=None))
    assert outcome["changed"]
    assert started.pods() == []
    assert not succeeded(started.agent("stopped", replicas=None))["changed"]
    summary = started.info()["summary"]
    assert summary == "stopped on purpose, 3 remembered, release cost-agent:1.4.1"
    assert statuses(succeeded(started.agent(replicas=None))) == ["ready"] * 3


@pytest.mark.parametrize("state", ["started", "stopped", "restarted"])
def test_check_mode_touches_nothing_and_foretells_the_change(started, state):
    started.deploy("1.4.2")
    before, pods = started.tree(), started.pids()
    foretold = succeeded(started.agent(state, check=True, environment={"POOL": 1}))
    assert foretold["changed"]
    assert foretold["actions"]
    assert (started.tree(), started.pids()) == (before, pods)
    done = succeeded(started.agent(state, environment={"POOL": 1}))
    assert foretold["diff"] == done["diff"]


def test_info_measures_usage(started, measured_cluster):
    succeeded(started.agent(memory_limit_mb=100))
    eventually(lambda: all(r["usage"] for r in started.info()["state"]["replicas"]))
    outcome = succeeded(started.info())
    assert not outcome["changed"]
    assert outcome["summary"] == "3 of 3 ready, release cost-agent:1.4.1"
    for replica in outcome["state"]["replicas"]:
        usage = replica["usage"]
        assert replica["up_to_date"]
        assert usage["memory_limit_bytes"] == 100 * 1024 * 1024
        assert 1_000_000 < usage["memory_bytes"] < 100_000_000
        assert usage["cpu_limit_cores"] == 0.5
        assert 0 <= usage["cpu_percent"] < 100
        assert 0 < usage["cpu_window_s"] < TIMEOUT_S
        assert 0 < usage["uptime_s"] < TIMEOUT_S
    assert outcome["tables"] == []


def test_info_watches_the_cpu_for_a_while(started):
    """The metrics API has a window of its own; none before the first scrape is no failure."""
    assert statuses(succeeded(started.info(cpu_window_s=0.2))) == ["ready"] * 3


def test_preflight_passes_before_and_after_a_start(started):
    outcome = succeeded(started.preflight())
    assert "Deployment" in outcome["summary"]
    assert all(check["ok"] for check in outcome["state"]["checks"])


def test_the_autoscaler_measures_every_replica_where_the_platform_does_not_scale(started):
    """Kubernetes does: tests/cluster/test_autoscaling.py has it under a load."""
    state = succeeded(started.run(AGENT_AUTOSCALER, cpu_window_s=0))["state"]
    assert state["policy"]["cpu_percent"] == 70
    assert not succeeded(started.run(AGENT_AUTOSCALER, cpu_window_s=0))["changed"]

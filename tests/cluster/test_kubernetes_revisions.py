# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rollbacks that bring a template with its environment back, and StatefulSets."""

from __future__ import annotations

import pytest

from tests.cluster.kubernetes_platform import KubernetesPlatform
from tests.waiting import eventually


@pytest.fixture
def platform(cluster, tmp_path):
    running = KubernetesPlatform(cluster, tmp_path)
    yield running
    running.close()


def succeeded(outcome):
    assert not outcome.get("failed"), outcome["msg"]
    return outcome


def environment_of(platform):
    seen = platform.ask(platform.names()[0])["environment"]
    return {key: seen.get(key) for key in ("POOL", "API_TOKEN")}


def environments(platform, kind="configmaps"):
    names = [item["metadata"]["name"] for item in platform.get(kind)["items"]]
    return [name for name in names if name.startswith("cost-agent-environment-")]


def good(platform, version, **arguments):
    platform.deploy(version)
    succeeded(platform.agent(**arguments))
    succeeded(platform.record_good())


def test_a_rollback_brings_the_environment_along(platform):
    first = {"environment": {"POOL": 1}, "environment_secrets": {"API_TOKEN": "first-words"}}
    good(platform, "1.4.1", **first)
    platform.deploy("1.4.2")
    second = {"environment": {"POOL": 2}, "environment_secrets": {"API_TOKEN": "other-words"}}
    succeeded(platform.agent(**second))
    assert environment_of(platform) == {"POOL": "2", "API_TOKEN": "other-words"}
    succeeded(platform.roll_back())
    outcome = succeeded(platform.agent())
    assert "first-words" not in str(outcome)
    assert environment_of(platform) == {"POOL": "1", "API_TOKEN": "first-words"}
    assert not succeeded(platform.agent())["changed"]
    assert not succeeded(platform.roll_back())["changed"]


def test_an_environment_alone_is_rolled_back_too(platform):
    good(platform, "1.4.1", environment={"POOL": 1})
    succeeded(platform.agent(environment={"POOL": 2}))
    outcome = succeeded(platform.roll_back())
    assert outcome["actions"] == ["Brought back what cost-agent:1.4.1 ran with"]
    succeeded(platform.agent())
    assert environment_of(platform)["POOL"] == "1"
    assert not succeeded(platform.roll_back())["changed"]


def test_a_restart_is_no_reason_to_roll_back(platform):
    good(platform, "1.4.1")
    succeeded(platform.agent("restarted"))
    assert not succeeded(platform.roll_back())["changed"]
    assert not succeeded(platform.agent())["changed"]


def test_a_rollback_to_a_revision_by_its_number(platform):
    good(platform, "1.4.1", environment={"POOL": 1})
    number = platform.workload()["metadata"]["annotations"]["deployment.kubernetes.io/revision"]
    succeeded(platform.agent(environment={"POOL": 2}))
    succeeded(platform.agent(environment={"POOL": 3}))
    succeeded(platform.roll_back(to=number))
    succeeded(platform.agent())
    assert environment_of(platform)["POOL"] == "1"
    assert not succeeded(platform.roll_back(to=number))["changed"]
    assert platform.roll_back(to="999")["reason"] == "precondition"


def test_a_rollback_keeps_what_others_noted_on_the_workload(platform):
    good(platform, "1.4.1")
    good(platform, "1.4.2")
    platform.patch({"metadata": {"annotations": {"team": "costs"}}})
    succeeded(platform.roll_back(to="cost-agent:1.4.1"))
    succeeded(platform.agent())
    assert platform.workload()["metadata"]["annotations"]["team"] == "costs"


def test_a_rollback_twice_does_not_go_back_and_forth(platform):
    good(platform, "1.4.1")
    platform.deploy("1.4.2")
    succeeded(platform.agent())
    for _time in range(2):
        succeeded(platform.roll_back())
        outcome = succeeded(platform.agent())
        assert outcome["summary"].endswith("ready, release cost-agent:1.4.1") or outcome["changed"]
    assert platform.info()["state"]["release"] == "cost-agent:1.4.1"


def test_environments_that_no_revision_needs_are_removed_and_others_stay(platform):
    platform.patch({"spec": {"revisionHistoryLimit": 1}})
    good(platform, "1.4.1", environment={"POOL": 1}, environment_secrets={"API_TOKEN": "a-word"})
    for number in (2, 3, 4):
        succeeded(platform.agent(environment={"POOL": number}))
    assert len(environments(platform)) == 4
    succeeded(platform.record_good())
    assert len(environments(platform)) == 2
    assert len(environments(platform, "secrets")) == 2
    names = [item["metadata"]["name"] for item in platform.get("configmaps")["items"]]
    assert "stand-in" in names


def test_entries_of_the_user_in_the_container_stay(platform):
    container = platform.workload()["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "THEIRS", "value": "kept"}]
    platform.patch({"spec": {"template": {"spec": {"containers": [container]}}}})
    good(platform, "1.4.1", environment={"POOL": 1})
    seen = platform.ask(platform.names()[0])["environment"]
    assert (seen["THEIRS"], seen["POOL"]) == ("kept", "1")


# --- StatefulSets -----------------------------------------------------------------------------


@pytest.fixture
def stateful(cluster, tmp_path):
    running = KubernetesPlatform(cluster, tmp_path, kind="StatefulSet")
    running.deploy("1.4.1")
    yield running
    running.close()


def test_a_stateful_set_is_started_scaled_restarted_and_stopped(stateful):
    outcome = succeeded(stateful.agent())
    assert [replica["name"] for replica in outcome["state"]["replicas"]] == [
        "cost-agent-0",
        "cost-agent-1",
        "cost-agent-2",
    ]
    assert not succeeded(stateful.agent())["changed"]
    before = stateful.pids()
    assert len(succeeded(stateful.agent(replicas=2))["state"]["replicas"]) == 2
    succeeded(stateful.agent("restarted", replicas=2))
    assert not set(stateful.pids().values()) & set(before.values())
    succeeded(stateful.agent("stopped", replicas=None))
    assert stateful.pods() == []
    assert succeeded(stateful.preflight())


def test_a_canary_of_a_stateful_set_is_its_last_replica(stateful):
    succeeded(stateful.agent())
    stateful.deploy("1.4.2")
    outcome = succeeded(stateful.agent(canary=True))
    releases = {r["name"]: r["release"] for r in outcome["state"]["replicas"]}
    assert releases == {
        "cost-agent-0": "cost-agent:1.4.1",
        "cost-agent-1": "cost-agent:1.4.1",
        "cost-agent-2": "cost-agent:1.4.2",
    }
    assert not succeeded(stateful.agent(canary=True))["changed"]
    outcome = succeeded(stateful.agent())
    assert {r["release"] for r in outcome["state"]["replicas"]} == {"cost-agent:1.4.2"}
    strategy = stateful.workload()["spec"]["updateStrategy"]["rollingUpdate"]
    assert strategy.get("partition", 0) == 0


def test_a_stateful_set_recovers_from_a_release_that_never_starts(stateful):
    succeeded(stateful.agent(environment={"POOL": 1}))
    succeeded(stateful.record_good())
    stateful.deploy("crash")
    assert stateful.agent(environment={"POOL": 2})["reason"] == "failed_state"
    succeeded(stateful.roll_back())
    outcome = succeeded(stateful.agent())
    assert {r["release"] for r in outcome["state"]["replicas"]} == {"cost-agent:1.4.1"}
    assert environment_of(stateful)["POOL"] == "1"


# --- what deploy.yml holds ----------------------------------------------------------------------


def hold(platform, **container):
    """What the role deploy leaves: another template, held until the agent's next rollout."""
    own = {**platform.workload()["spec"]["template"]["spec"]["containers"][0], **container}
    spec = {"paused": True, "template": {"spec": {"containers": [own]}}}
    annotations = {"cost-agent.optiinfra/held": "true"}
    platform.patch({"metadata": {"annotations": annotations}, "spec": spec})


def is_let_go(platform):
    workload = platform.workload()
    return "paused" not in workload["spec"] and not any(
        "cost-agent.optiinfra/held" in key for key in workload["metadata"]["annotations"]
    )


def test_what_is_held_touches_no_pod_until_a_canary_of_it(platform):
    good(platform, "1.4.1")
    before = platform.pids()
    hold(platform, workingDir="/tmp")
    eventually(lambda: not platform.workload()["status"].get("updatedReplicas"))
    assert platform.pids() == before
    assert not any(each["up_to_date"] for each in platform.info()["state"]["replicas"])
    outcome = succeeded(platform.agent(canary=True))
    assert [each["up_to_date"] for each in outcome["state"]["replicas"]].count(True) == 1
    assert before.items() <= platform.pids().items()
    assert is_let_go(platform)
    outcome = succeeded(platform.agent())
    assert all(each["up_to_date"] for each in outcome["state"]["replicas"])
    assert not before.items() & platform.pids().items()
    assert not succeeded(platform.agent())["changed"]


@pytest.mark.parametrize("state", ["started", "restarted", "stopped"])
def test_whatever_comes_next_lets_go_what_is_held(platform, state):
    good(platform, "1.4.1")
    before = platform.pids()
    hold(platform, workingDir="/tmp")
    outcome = succeeded(platform.agent(state))
    assert is_let_go(platform)
    assert not before.items() & platform.pids().items()
    if state != "stopped":
        assert len(outcome["state"]["replicas"]) == 3
        assert "Rolled out what deploy.yml changed" in " ".join(outcome["actions"])
    assert not succeeded(platform.agent("stopped" if state == "stopped" else "started"))["changed"]


@pytest.mark.parametrize("has_canary", [False, True])
def test_what_is_held_is_taken_back_by_a_rollback(platform, has_canary):
    good(platform, "1.4.1")
    before = platform.pids()
    hold(platform, command=["false"])
    if has_canary:
        assert platform.agent(canary=True)["reason"] == "failed_state"
    assert succeeded(platform.roll_back())["changed"]
    succeeded(platform.agent())
    assert platform.pids() == before
    assert is_let_go(platform)
    assert not succeeded(platform.roll_back())["changed"]
    assert not succeeded(platform.agent())["changed"]

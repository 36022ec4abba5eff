# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HorizontalPodAutoscaler of autoscale.yml scales real pods by the metrics of a real load."""

from __future__ import annotations

import json

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.kubernetes.names import (
    FLOOR_ANNOTATION,
)

from tests.cluster.autoscaling_site import BUSY, AutoscalingSite, within
from tests.cluster.reached import Cluster

MOST = 5
# metrics-server looks every 10 s or more, the controller every 15 s, and a new pod takes some.
PATIENCE_S = 500

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def site(cluster: Cluster, namespace: str, tmp_path_factory) -> AutoscalingSite:
    return AutoscalingSite(cluster, namespace, tmp_path_factory.mktemp("autoscaling"))


@pytest.fixture(scope="module")
def running(site: AutoscalingSite) -> AutoscalingSite:
    site.apply()
    within(60, lambda: site.ready() == 3)
    return site


@pytest.fixture
def bare(running: AutoscalingSite) -> AutoscalingSite:
    """The site without an autoscaler."""
    running.kubectl("delete", "hpa", "--all")
    return running


def test_a_workload_that_is_not_there_is_refused(cluster, tmp_path):
    # It is the namespace of nobody, which also has no workload.
    outcome = AutoscalingSite(cluster, "nobody-s", tmp_path).autoscaler()
    assert outcome["reason"] == "precondition"
    assert "deploy.yml" in outcome["msg"]


def test_the_playbook_foretells_makes_and_then_changes_nothing(bare):
    check = bare.autoscale("--check", "--diff")
    assert (check.code, check.changed) == (0, ["Autoscaler"]), check.output
    assert bare.hpas() == []
    run = bare.autoscale()
    assert (run.code, run.changed) == (0, ["Autoscaler"]), run.output
    [hpa] = bare.hpas()
    assert (hpa["spec"]["minReplicas"], hpa["spec"]["maxReplicas"]) == (3, 10)
    again = bare.autoscale()
    assert (again.code, again.changed) == (0, [])
    gone = bare.autoscale(cost_agent_autoscaler_state="absent")
    assert (gone.code, gone.changed) == (0, ["Autoscaler"]), gone.output
    assert bare.hpas() == []


def test_replicas_follow_a_real_load_up_and_down(measured_cluster, bare):
    settings = {
        "cost_agent_autoscaler_max": MOST,
        "cost_agent_autoscaler_scale_down": {"stabilization_s": 15},
    }
    run = bare.autoscale(**settings)
    assert run.code == 0, run.output
    bare.load(BUSY)
    up_s = within(PATIENCE_S, lambda: bare.ready() == MOST)
    run = bare.autoscale(**settings)
    state = run.result_of("agent_autoscaler")["state"]
    assert (run.code, run.changed) == (0, []), run.output
    assert (state["scaled_by"], state["desired_replicas"]) == ("kubernetes", MOST)
    assert state["cpu_percent"] > 70
    assert "ValidMetricFound" in [condition["reason"] for condition in state["conditions"]]
    bare.load({})
    down_s = within(PATIENCE_S, lambda: bare.ready() == 3)
    print(f"3 -> {MOST} ready after {up_s:.0f} s of load, 3 again {down_s:.0f} s after it")


def test_a_changed_policy_changes_the_object_and_nothing_else_of_it(bare):
    bare.autoscaler()
    bare.kubectl("annotate", "hpa", "cost-agent", "team=costs")
    changed = bare.autoscaler(max=4, scale_up={"select": "disabled"})
    assert changed["changed"]
    assert changed["diff"]["before"]["policy"]["max"] == 10
    [hpa] = bare.hpas()
    assert hpa["spec"]["maxReplicas"] == 4
    assert hpa["spec"]["behavior"]["scaleUp"]["selectPolicy"] == "Disabled"
    assert hpa["metadata"]["annotations"]["team"] == "costs"
    assert not bare.autoscaler(max=4, scale_up={"select": "disabled"})["changed"]


def test_one_that_somebody_else_made_is_left_alone_until_it_is_taken_over(bare):
    words = ("--min=2", "--max=6", "--cpu-percent=50", "--name=theirs")
    bare.kubectl("autoscale", "deployment", "cost-agent", *words)
    for state in ("present", "absent"):
        outcome = bare.autoscaler(state=state)
        assert outcome["reason"] == "precondition"
        assert "theirs" in outcome["msg"]
    same = bare.autoscaler(min=2, max=6, cpu_percent=50)
    assert (same.get("failed"), same["changed"]) == (None, False)
    assert bare.hpas()[0]["spec"]["maxReplicas"] == 6
    forced = bare.autoscaler(kubernetes={"force": True})
    assert forced["changed"], forced
    [hpa] = bare.hpas()
    assert (hpa["metadata"]["name"], hpa["spec"]["maxReplicas"]) == ("theirs", 10)
    assert bare.autoscaler(state="absent")["changed"]
    assert bare.hpas() == []


def test_a_count_of_an_operator_stays_the_minimum_when_the_policy_changes(bare):
    bare.autoscaler()
    raised = {"metadata": {"annotations": {FLOOR_ANNOTATION: "3"}}, "spec": {"minReplicas": 4}}
    bare.kubectl("patch", "hpa", "cost-agent", "--type=merge", f"--patch={json.dumps(raised)}")
    assert not bare.autoscaler()["changed"]
    assert bare.autoscaler(max=6)["changed"]
    assert bare.hpas()[0]["spec"]["minReplicas"] == 4
    assert bare.autoscaler(min=5)["changed"]
    [hpa] = bare.hpas()
    assert hpa["spec"]["minReplicas"] == 5
    assert FLOOR_ANNOTATION not in hpa["metadata"].get("annotations", {})


def test_two_autoscalers_of_one_workload_are_refused(bare):
    for name in ("one", "two"):
        words = ("--max=6", f"--name={name}")
        bare.kubectl("autoscale", "deployment", "cost-agent", *words)
    outcome = bare.autoscaler()
    assert outcome["reason"] == "precondition"
    assert "one and two" in outcome["msg"]


def test_a_user_without_the_right_is_told_which(bare, tmp_path):
    bare.kubectl("create", "serviceaccount", "onlooker")
    onlooker = bare.cluster.acting_as(bare.namespace, "onlooker", tmp_path / "kubeconfig")
    outcome = bare.autoscaler(kubernetes={"kubeconfig": str(onlooker.kubeconfig)})
    assert outcome["reason"] == "auth"
    assert "horizontalpodautoscalers" in outcome["msg"]
    assert "list" in outcome["msg"]


def test_a_workload_that_asks_for_no_cpu_is_refused_until_something_asks_for_it(bare):
    bare.apply(resources={})
    try:
        outcome = bare.autoscaler()
        assert outcome["reason"] == "precondition"
        assert "requests.cpu" in outcome["msg"]
        assert bare.hpas() == []
        # Then the namespace gives every new pod a request, which is as good.
        limit = {"type": "Container", "defaultRequest": {"cpu": "50m"}, "default": {"cpu": "1"}}
        bare.kubectl(
            "apply",
            "--filename=-",
            document={
                "apiVersion": "v1",
                "kind": "LimitRange",
                "metadata": {"name": "cpu"},
                "spec": {"limits": [limit]},
            },
        )
        bare.kubectl("rollout", "restart", "deployment/cost-agent")
        bare.kubectl("rollout", "status", "deployment/cost-agent", "--timeout=300s")
        within(60, lambda: bare.autoscaler().get("changed", False))
    finally:
        bare.kubectl("delete", "limitrange", "cpu", "--ignore-not-found")
        bare.apply()

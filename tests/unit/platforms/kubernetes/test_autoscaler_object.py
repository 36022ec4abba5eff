# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A policy as a HorizontalPodAutoscaler, and back, with what somebody else may have put there."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.autoscaling.policy import (
    DOWN_POLICIES,
    UP_POLICIES,
    Policy,
    RatePolicy,
    Rules,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.kubernetes.autoscaler_object import (  # noqa: E501
    autoscaler_object,
    containers_without_cpu_request,
    is_ours,
    policy_of,
    policy_patch,
    scales,
    status_of,
)

CAREFUL = Policy(
    min=2,
    max=20,
    cpu_percent=55,
    scale_up=Rules(30, "min", (RatePolicy("replicas", 1, 60), RatePolicy("percent", 50, 30))),
    scale_down=Rules(600, "disabled", (RatePolicy("percent", 10, 60),)),
)


def made(policy: Policy = CAREFUL) -> dict[str, Any]:
    return autoscaler_object(policy, "cost-agent", "optiinfra", "cost-agent", "Deployment")


@pytest.mark.parametrize("policy", [Policy(), CAREFUL])
def test_an_object_stands_for_the_policy_that_it_was_made_of(policy):
    assert policy_of(made(policy)) == policy.as_dict()


def test_the_object_is_what_the_documentation_describes():
    spec = made(Policy())["spec"]
    assert spec["scaleTargetRef"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "cost-agent",
    }
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 10)
    [metric] = spec["metrics"]
    assert metric["resource"]["target"] == {"type": "Utilization", "averageUtilization": 70}
    assert spec["behavior"] == {
        "scaleUp": {
            "stabilizationWindowSeconds": 0,
            "selectPolicy": "Max",
            "policies": [
                {"type": "Pods", "value": 4, "periodSeconds": 15},
                {"type": "Percent", "value": 100, "periodSeconds": 15},
            ],
        },
        "scaleDown": {
            "stabilizationWindowSeconds": 300,
            "selectPolicy": "Max",
            "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
        },
    }


def test_one_of_kubectl_autoscale_says_nothing_of_rates_and_so_has_the_usual_ones():
    found = made(Policy(min=1))
    del found["spec"]["behavior"], found["spec"]["minReplicas"]
    policy = policy_of(found)
    assert policy["min"] == 1
    assert policy["scale_up"]["policies"] == [vars(each) for each in UP_POLICIES]
    assert policy["scale_down"]["policies"] == [vars(each) for each in DOWN_POLICIES]
    assert policy["scale_down"]["stabilization_s"] == 300


MEMORY = {
    "type": "Resource",
    "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 80}},
}
REQUESTS = {
    "type": "Pods",
    "pods": {"metric": {"name": "requests"}, "target": {"type": "AverageValue", "averageValue": 9}},
}
CPU_VALUE = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "1"}},
}


@pytest.mark.parametrize(
    ("metric", "name"),
    [(MEMORY, "Resource memory"), (REQUESTS, "Pods requests"), (CPU_VALUE, "Resource cpu")],
)
def test_other_metrics_make_it_another_policy(metric, name):
    found = made()
    found["spec"]["metrics"].append(metric)
    assert policy_of(found) == {**CAREFUL.as_dict(), "other_metrics": [name]}
    found["spec"]["metrics"] = [metric]
    assert policy_of(found)["cpu_percent"] is None


def test_a_tolerance_makes_it_another_policy():
    found = made()
    found["spec"]["behavior"]["scaleUp"]["tolerance"] = "0.05"
    assert policy_of(found) != CAREFUL.as_dict()


@pytest.mark.parametrize(
    ("floor", "held", "wanted", "patched", "kept"),
    [
        (None, 2, 3, 3, None),
        (None, 9, 3, 3, None),  # nobody's count: drift
        ("2", 5, 2, 5, "2"),
        ("2", 5, 4, 5, "4"),
        ("2", 5, 5, 5, None),
        ("2", 5, 6, 6, None),
        ("2", 30, 3, 3, None),  # above the new maximum
    ],
)
def test_an_operators_count_stays_the_minimum_within_new_bounds(floor, held, wanted, patched, kept):
    found = made()
    found["metadata"]["resourceVersion"] = "7"
    found["spec"]["minReplicas"] = held
    if floor is not None:
        found["metadata"]["annotations"] = {"cost-agent.optiinfra/min-replicas": floor}
        assert policy_of(found)["min"] == int(floor)
    patch = policy_patch(found, made(Policy(min=wanted, max=20)))
    assert patch["spec"]["minReplicas"] == patched
    assert patch["metadata"]["annotations"] == {"cost-agent.optiinfra/min-replicas": kept}
    assert patch["metadata"]["resourceVersion"] == "7"


def test_what_this_collection_made_is_told_from_what_others_did():
    ours, unmarked, owned = made(), made(), made()
    unmarked["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "Helm"}
    owner = {"kind": "ScaledObject", "name": "cost-agent", "controller": True}
    owned["metadata"]["ownerReferences"] = [owner]
    assert [is_ours(each) for each in (ours, unmarked, owned)] == [True, False, False]
    del unmarked["metadata"]["labels"]
    assert not is_ours(unmarked)


def test_it_scales_the_workload_that_it_names():
    assert scales(made(), "Deployment", "cost-agent")
    assert not scales(made(), "StatefulSet", "cost-agent")
    assert not scales(made(), "Deployment", "cost-agent-2")


def test_a_status_is_told_in_the_words_of_kubernetes():
    found = made() | {
        "status": {
            "currentReplicas": 3,
            "desiredReplicas": 5,
            "currentMetrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "current": {"averageUtilization": 0}},
                }
            ],
            "conditions": [
                {
                    "type": "ScalingActive",
                    "status": "False",
                    "reason": "FailedGetResourceMetric",
                    "message": "no metrics returned from resource metrics API",
                }
            ],
        }
    }
    status = status_of(found)
    assert (status.current_replicas, status.desired_replicas, status.cpu_percent) == (3, 5, 0)
    [condition] = status.conditions
    assert (condition.type, condition.is_true) == ("ScalingActive", False)
    assert status.scaled_by == "kubernetes"
    assert status_of(made()).current_replicas is None


@pytest.mark.parametrize(
    ("current", "desired", "told"), [(3, 0, None), (0, 0, 0), (3, 3, 3), (None, None, None)]
)
def test_a_count_that_kubernetes_has_not_found_yet_is_none(current, desired, told):
    found = made() | {"status": {"currentReplicas": current, "desiredReplicas": desired}}
    assert status_of(found).desired_replicas == told


def pod(*containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    named = [{"name": f"c{number}", **each} for number, each in enumerate(containers)]
    return {"spec": {"containers": named, **copy.deepcopy(spec)}}


CPU = {"resources": {"requests": {"cpu": "100m"}}}
LIMIT = {"resources": {"limits": {"cpu": "1"}}}
MEMORY_ONLY = {"resources": {"requests": {"memory": "1Gi"}}}


@pytest.mark.parametrize(
    ("found", "missing"),
    [
        (pod(CPU, LIMIT), []),
        (pod(CPU, {}), ["c1"]),
        (pod(MEMORY_ONLY, {"resources": {}}), ["c0", "c1"]),
        (pod({}, resources={"requests": {"cpu": "1"}}), []),
        (pod(CPU, initContainers=[{"name": "migrate"}]), []),
        (pod(CPU, initContainers=[{"name": "mesh", "restartPolicy": "Always"}]), ["mesh"]),
    ],
)
def test_containers_that_ask_for_no_cpu_are_found(found, missing):
    assert containers_without_cpu_request(found) == missing

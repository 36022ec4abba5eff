# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A HorizontalPodAutoscaler and the policy it stands for: pure, both ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..autoscaling.autoscaler import BY_KUBERNETES, Status
from ..autoscaling.decision import Condition
from ..autoscaling.policy import (
    DOWN_POLICIES,
    DOWN_STABILIZATION_S,
    MAX,
    PERCENT,
    REPLICAS,
    UP_POLICIES,
    UP_STABILIZATION_S,
    Policy,
    RatePolicy,
    Rules,
)
from .bounds import floor_of
from .names import FLOOR_ANNOTATION, MANAGED_BY, MANAGED_BY_LABEL
from .owners import owner_of

_TYPES = {REPLICAS: "Pods", PERCENT: "Percent"}
_SELECTS = {"max": "Max", "min": "Min", "disabled": "Disabled"}

Document = dict[str, Any]


def autoscaler_object(
    policy: Policy, agent: str, namespace: str, workload: str, kind: str
) -> Document:
    """The object that scales a workload by a policy; it has the workload's name."""
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {
            "name": workload,
            "namespace": namespace,
            "labels": {"app.kubernetes.io/name": agent, MANAGED_BY_LABEL: MANAGED_BY},
        },
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": kind, "name": workload},
            "minReplicas": policy.min,
            "maxReplicas": policy.max,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {
                        "name": "cpu",
                        "target": {
                            "type": "Utilization",
                            "averageUtilization": policy.cpu_percent,
                        },
                    },
                }
            ],
            "behavior": {
                "scaleUp": _rules_object(policy.scale_up),
                "scaleDown": _rules_object(policy.scale_down),
            },
        },
    }


def _rules_object(rules: Rules) -> Document:
    return {
        "stabilizationWindowSeconds": rules.stabilization_s,
        "selectPolicy": _SELECTS[rules.select],
        "policies": [
            {"type": _TYPES[each.type], "value": each.value, "periodSeconds": each.period_s}
            for each in rules.policies
        ],
    }


def policy_patch(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> Document:
    """The merge patch that brings what was found, and nothing newer, to the wanted object.

    An operator's count that the module `agent` made its minimum stays one, within the new bounds.
    """
    spec = dict(wanted["spec"])
    floor, raised = spec["minReplicas"], found["spec"].get("minReplicas", 1)
    stays = floor_of(found) < raised and floor < raised <= spec["maxReplicas"]
    if stays:
        spec["minReplicas"] = raised
    return {
        "metadata": {
            "labels": wanted["metadata"]["labels"],
            "annotations": {FLOOR_ANNOTATION: str(floor) if stays else None},
            "resourceVersion": found["metadata"]["resourceVersion"],
        },
        "spec": spec,
    }


def is_ours(found: Mapping[str, Any]) -> bool:
    """Whether this collection made it, and nothing else owns it by now."""
    labels = found["metadata"].get("labels") or {}
    return labels.get(MANAGED_BY_LABEL) == MANAGED_BY and owner_of(found) is None


def scales(found: Mapping[str, Any], kind: str, workload: str) -> bool:
    """Whether it scales this workload."""
    reference = found["spec"]["scaleTargetRef"]
    return (reference["kind"], reference["name"]) == (kind, workload)


def policy_of(found: Mapping[str, Any]) -> dict[str, Any]:
    """The policy of an object, as `Policy.as_dict` gives it.

    What a policy cannot say is told too, so that it equals none: other metrics, a tolerance.
    """
    spec = found["spec"]
    behavior = spec.get("behavior") or {}
    up, down = behavior.get("scaleUp") or {}, behavior.get("scaleDown") or {}
    metrics = spec.get("metrics") or []
    cpu_percents = [percent for percent in map(_cpu_percent, metrics) if percent is not None]
    policy: dict[str, Any] = {
        # A count that an operator asked for raises the minimum, and is no policy.
        "min": floor_of(found),
        "max": spec["maxReplicas"],
        "cpu_percent": cpu_percents[0] if cpu_percents else None,
        "scale_up": _rules_of(up, UP_STABILIZATION_S, UP_POLICIES),
        "scale_down": _rules_of(down, DOWN_STABILIZATION_S, DOWN_POLICIES),
    }
    others = [_metric_name(each) for each in metrics if _cpu_percent(each) is None]
    if others:
        policy["other_metrics"] = others
    for name, rules in (("scale_up", up), ("scale_down", down)):
        if rules.get("tolerance") is not None:
            policy[f"{name}_tolerance"] = rules["tolerance"]
    return policy


def _cpu_percent(metric: Mapping[str, Any]) -> int | None:
    resource = metric.get("resource") or {}
    if metric["type"] != "Resource" or resource.get("name") != "cpu":
        return None
    percent = resource["target"].get("averageUtilization")
    return None if percent is None else int(percent)


def _metric_name(metric: Mapping[str, Any]) -> str:
    """Such as `Resource memory`."""
    kind = str(metric["type"])
    details = metric.get(kind[0].lower() + kind[1:]) or {}
    name = details.get("name") or (details.get("metric") or {}).get("name")
    return f"{kind} {name}" if name else kind


def _rules_of(
    found: Mapping[str, Any], stabilization_s: int, policies: Sequence[RatePolicy]
) -> dict[str, Any]:
    given = found.get("policies")
    if given is None:
        plain = [vars(each) for each in policies]
    else:
        types = {there: ours for ours, there in _TYPES.items()}
        plain = [
            {
                "type": types[each["type"]],
                "value": each["value"],
                "period_s": each["periodSeconds"],
            }
            for each in given
        ]
    return {
        "stabilization_s": found.get("stabilizationWindowSeconds", stabilization_s),
        "select": str(found.get("selectPolicy") or MAX).lower(),
        "policies": plain,
    }


def status_of(found: Mapping[str, Any]) -> Status:
    """What Kubernetes sees and wants, in its own words."""
    status = found.get("status") or {}
    conditions = [
        Condition(each["type"], each["status"] == "True", each["reason"], each["message"])
        for each in status.get("conditions") or []
    ]
    return Status(
        scaled_by=BY_KUBERNETES,
        current_replicas=status.get("currentReplicas"),
        desired_replicas=_desired(status),
        cpu_percent=_seen_percent(status),
        conditions=conditions,
    )


def _desired(status: Mapping[str, Any]) -> int | None:
    """The count it wants. 0 stands for none yet, unless it was scaled to 0."""
    current, desired = status.get("currentReplicas"), status.get("desiredReplicas")
    return None if desired == 0 and current != 0 else desired


def _seen_percent(status: Mapping[str, Any]) -> int | None:
    for metric in status.get("currentMetrics") or []:
        resource = metric.get("resource") or {}
        percent = (resource.get("current") or {}).get("averageUtilization")
        if resource.get("name") == "cpu" and percent is not None:
            return int(percent)
    return None


def containers_without_cpu_request(pod: Mapping[str, Any]) -> list[str]:
    """The containers of a pod, or of a pod template, that keep it from having a percentage.

    A limit stands in for a request, as the server has it; a request of the whole pod for those
    of its containers.
    """
    spec = pod["spec"]
    if _asks_for_cpu(spec):
        return []
    sidecars = [
        each for each in spec.get("initContainers") or [] if each.get("restartPolicy") == "Always"
    ]
    containers = [*spec["containers"], *sidecars]
    return [each["name"] for each in containers if not _asks_for_cpu(each)]


def _asks_for_cpu(found: Mapping[str, Any]) -> bool:
    resources = found.get("resources") or {}
    return any("cpu" in (resources.get(kind) or {}) for kind in ("requests", "limits"))

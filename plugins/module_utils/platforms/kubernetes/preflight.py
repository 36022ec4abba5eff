# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an agent could be deployed and operated here, by the rights of this user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...core.errors import OperationError, Reason
from ..protocol import Check
from .cluster import Cluster
from .owners import owner_of
from .quantities import quantity
from .resources import (
    ACCESS_REVIEWS,
    AUTOSCALERS,
    CONFIG_MAPS,
    CONTROLLER_REVISIONS,
    DISRUPTION_BUDGETS,
    EVENTS,
    JOBS,
    NAMESPACES,
    POD_METRICS,
    PODS,
    REPLICA_SETS,
    RESOURCE_QUOTAS,
    SECRETS,
    Resource,
)
from .workload import Workload


@dataclass(frozen=True)
class Right:
    """One verb on one resource, and whether the driver cannot do without it."""

    resource: Resource
    verb: str
    subresource: str = ""
    is_needed: bool = True

    @property
    def text(self) -> str:
        name = self.resource.plural + (f"/{self.subresource}" if self.subresource else "")
        group = f".{self.resource.group}" if self.resource.group else ""
        return f"{self.verb} {name}{group}"


def rights(workload: Resource, uses_config_maps: bool) -> list[Right]:
    """Every right that the driver uses; roles/deploy ships them as a Role."""
    needed = [
        Right(workload, "get"),
        Right(workload, "patch"),
        Right(CONTROLLER_REVISIONS if workload.plural == "statefulsets" else REPLICA_SETS, "list"),
        Right(PODS, "list"),
        Right(PODS, "get", "log"),
        Right(EVENTS, "list"),
        Right(NAMESPACES, "get"),
        Right(AUTOSCALERS, "list"),
        Right(AUTOSCALERS, "patch", is_needed=False),
        Right(PODS, "get", "proxy", is_needed=False),
        Right(POD_METRICS, "list", is_needed=False),
        Right(JOBS, "create", is_needed=False),
        Right(RESOURCE_QUOTAS, "list", is_needed=False),
        Right(DISRUPTION_BUDGETS, "list", is_needed=False),
    ]
    if workload.plural == "statefulsets":
        needed.append(Right(PODS, "delete"))
    for verb in ("get", "list", "create", "delete"):
        needed.append(Right(CONFIG_MAPS, verb))
    if uses_config_maps:
        needed.append(Right(CONFIG_MAPS, "update"))
    for verb in ("get", "create", "delete"):
        needed.append(Right(SECRETS, verb))
    return needed


class Preflight:
    """Looks at everything; each part is one check, and none of them changes anything."""

    def __init__(self, cluster: Cluster, uses_config_maps: bool) -> None:
        self._cluster = cluster
        self._namespace = cluster.options.namespace
        self._uses_config_maps = uses_config_maps

    def checks(self, count: int) -> list[Check]:
        """The checks of `count` replicas; what cannot be looked at without the first is left."""
        found = [self._api()]
        found.append(self._namespace_there())
        found.append(self._rights())
        if not all(check.ok for check in found):
            return found
        workload = self._cluster.workloads.find()
        found.append(self._workload(workload))
        found.append(self._quota(workload, count))
        if workload is not None:
            found.append(self._budget(workload))
        return found

    def _api(self) -> Check:
        version = self._cluster.client.get("/version", "read the API server's version")
        return Check("api", True, f"Kubernetes {version.get('gitVersion', 'of unknown version')}")

    def _namespace_there(self) -> Check:
        there = self._cluster.workloads.has_namespace()
        if there is None:
            return Check("namespace", True, f"namespace {self._namespace}, which may not be read")
        seen = f"namespace {self._namespace}"
        return Check("namespace", there, seen if there else f"there is no {seen}")

    def _rights(self) -> Check:
        asked = rights(self._cluster.workloads.resource, self._uses_config_maps)
        denied = [right for right in asked if not self._may(right)]
        missing = [right.text for right in denied if right.is_needed]
        if missing:
            return Check(
                "rights",
                False,
                f"missing rights in namespace {self._namespace}: {', '.join(missing)}",
            )
        without = ", ".join(right.text for right in denied)
        return Check("rights", True, f"all rights but {without}" if without else "all rights")

    def _may(self, right: Right) -> bool:
        attributes = {
            "namespace": self._namespace,
            "verb": right.verb,
            "group": right.resource.group,
            "resource": right.resource.plural,
            "subresource": right.subresource,
        }
        if right.resource is NAMESPACES:
            attributes["name"] = self._namespace
        review = {
            "apiVersion": ACCESS_REVIEWS.api_version,
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        answer = self._cluster.client.request(
            "POST", ACCESS_REVIEWS.path(), f"ask for the right to {right.text}", body=review
        )
        return bool((answer.get("status") or {}).get("allowed"))

    def _workload(self, workload: Workload | None) -> Check:
        options = self._cluster.options
        if workload is None:
            title = f"{options.kind} {options.workload}"
            return Check("workload", True, f"no {title} yet, which deploy.yml makes")
        owner = owner_of(workload.document)
        if owner is not None and not options.force:
            return Check("workload", False, f"{owner.name} owns {workload.title}")
        if workload.is_paused and not options.force:
            return Check("workload", False, f"{workload.title} is paused")
        return Check("workload", True, f"{workload.title} with {workload.replicas} replicas")

    def _quota(self, workload: Workload | None, count: int) -> Check:
        """Whether the namespace's quotas have room for the pods that are to be added.

        One more than the count while they are replaced (`maxSurge` 1).
        """
        try:
            quotas = self._cluster.client.objects(
                RESOURCE_QUOTAS.path(self._namespace), "list the quotas"
            )
        except OperationError as error:
            if error.reason is not Reason.AUTH:
                raise
            return Check("quota", True, "quotas may not be read")
        more = count + 1 - (workload.replicas if workload else 0)
        requests = _requests(workload.template) if workload else {"pods": 1.0}
        lacking = [text for quota in quotas for text in _lacking(quota, requests, max(more, 1))]
        if lacking:
            return Check("quota", False, "; ".join(lacking))
        return Check("quota", True, f"quotas have room for {count}" if quotas else "no quota")

    def _budget(self, workload: Workload) -> Check:
        """What a PodDisruptionBudget allows: it holds up drains, and no rollout of ours."""
        try:
            budgets = self._cluster.client.objects(
                DISRUPTION_BUDGETS.path(self._namespace), "list the disruption budgets"
            )
        except OperationError as error:
            if error.reason is not Reason.AUTH:
                raise
            return Check("disruption budget", True, "disruption budgets may not be read")
        labels = (workload.template.get("metadata") or {}).get("labels") or {}
        told = []
        for budget in budgets:
            wanted = (budget["spec"].get("selector") or {}).get("matchLabels") or {}
            if wanted and wanted.items() <= labels.items():
                allowed = int((budget.get("status") or {}).get("disruptionsAllowed", 0))
                told.append(
                    f"PodDisruptionBudget {budget['metadata']['name']} allows {allowed} evictions"
                    + (", so that draining a node would wait" if allowed == 0 else "")
                )
        return Check("disruption budget", True, "; ".join(told) or "no disruption budget")


def _requests(template: Mapping[str, Any]) -> dict[str, float]:
    """What one pod counts for in a quota."""
    found = {"pods": 1.0}
    for container in template["spec"]["containers"]:
        resources = container.get("resources") or {}
        for part in ("requests", "limits"):
            for name, amount in (resources.get(part) or {}).items():
                key = f"{part}.{name}"
                found[key] = found.get(key, 0.0) + float(quantity(amount) or 0)
    for name in ("cpu", "memory"):  # a quota may call a request by the resource alone
        if f"requests.{name}" in found:
            found[name] = found[f"requests.{name}"]
    return found


def _lacking(quota: Mapping[str, Any], one_pod: Mapping[str, float], more: int) -> list[str]:
    """What a quota has no room for when so many pods come, in words."""
    status = quota.get("status") or {}
    used, told = status.get("used") or {}, []
    for name, limit in (status.get("hard") or {}).items():
        key = "pods" if name in ("pods", "count/pods") else name
        if key not in one_pod:
            continue
        left = float(quantity(limit) or 0) - float(quantity(used.get(name)) or 0)
        if one_pod[key] * more > left:
            told.append(
                f"ResourceQuota {quota['metadata']['name']} has no room for {more} more: "
                f"{name} is {used.get(name, '0')} of {limit}"
            )
    return told

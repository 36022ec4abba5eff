# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Deployment or StatefulSet that is the agent, as it was read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from ...core.errors import OperationError, Reason
from .client import JSON_PATCH, KubernetesClient
from .names import BRAKE_ANNOTATION, HELD_ANNOTATION, REVISION_ANNOTATION
from .options import STATEFUL_SET, ClusterOptions
from .resources import DEPLOYMENTS, NAMESPACES, STATEFUL_SETS, Resource

Document = dict[str, Any]


@dataclass(frozen=True)
class Workload:
    """One reading of a workload; `document` is what the server said, never changed in place."""

    kind: str
    document: Document

    @property
    def name(self) -> str:
        return str(self.document["metadata"]["name"])

    @property
    def namespace(self) -> str:
        return str(self.document["metadata"]["namespace"])

    @property
    def uid(self) -> str:
        return str(self.document["metadata"]["uid"])

    @property
    def version(self) -> str:
        """Its `resourceVersion`, another after every change of it or of its status."""
        return str(self.document["metadata"]["resourceVersion"])

    @property
    def title(self) -> str:
        """As messages name it."""
        return f"{self.kind} {self.namespace}/{self.name}"

    @property
    def is_stateful(self) -> bool:
        return self.kind == STATEFUL_SET

    @property
    def spec(self) -> Document:
        return dict(self.document["spec"])

    @property
    def status(self) -> Document:
        return dict(self.document.get("status") or {})

    @property
    def template(self) -> Document:
        return dict(self.document["spec"]["template"])

    @property
    def replicas(self) -> int:
        """How many are asked for; 1 where nothing says, as the server has it."""
        return int(self.spec.get("replicas", 1))

    @property
    def annotations(self) -> dict[str, str]:
        return dict(self.document["metadata"].get("annotations") or {})

    @property
    def is_paused(self) -> bool:
        """Whether somebody paused it; what deploy.yml holds back is not meant."""
        return bool(self.spec.get("paused")) and not self.is_held

    @property
    def is_held(self) -> bool:
        """Whether it has a template of deploy.yml's that waits for the next rollout."""
        return bool(self.spec.get("paused")) and HELD_ANNOTATION in self.annotations

    @property
    def is_observed(self) -> bool:
        """Whether the status speaks of this specification, and not of an earlier one."""
        generation = self.document["metadata"].get("generation", 0)
        return bool(self.status.get("observedGeneration", 0) >= generation)

    @property
    def revision(self) -> str:
        """The number of the current template among the Deployment's; empty before the first."""
        return self.annotations.get(REVISION_ANNOTATION, "")

    @property
    def selector(self) -> str:
        """The label selector of its pods, as a query has it."""
        return selector_text(self.spec.get("selector") or {})

    @property
    def brake(self) -> Document | None:
        """What a canary's brake put aside, None when none is on."""
        text = self.annotations.get(BRAKE_ANNOTATION)
        if text is None:
            return None
        try:
            kept = json.loads(text)
        except ValueError:
            return {}
        return kept if isinstance(kept, dict) else {}


def selector_text(selector: Document) -> str:
    """A label selector as a query parameter."""
    terms = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for each in selector.get("matchExpressions") or []:
        key, values = each["key"], ",".join(each.get("values") or [])
        terms.append(
            {
                "In": f"{key} in ({values})",
                "NotIn": f"{key} notin ({values})",
                "Exists": key,
                "DoesNotExist": f"!{key}",
            }[each["operator"]]
        )
    return ",".join(terms)


class WorkloadApi:
    """Reads and changes the agent's workload."""

    def __init__(self, client: KubernetesClient, options: ClusterOptions) -> None:
        self._client = client
        self._options = options
        self._resource: Resource = STATEFUL_SETS if options.kind == STATEFUL_SET else DEPLOYMENTS

    @property
    def resource(self) -> Resource:
        return self._resource

    def find(self) -> Workload | None:
        """The workload, None where there is none; an unknown namespace is a `precondition`."""
        name, namespace = self._options.workload, self._options.namespace
        found = self._client.find(
            self._resource.path(namespace, name), f"read {self._options.kind} {namespace}/{name}"
        )
        if found is not None:
            return Workload(self._options.kind, found)
        self._require_namespace()
        return None

    def read(self, wanted: str) -> Workload:
        """The workload; raises `precondition` where the role deploy has not made it."""
        found = self.find()
        if found is None:
            raise OperationError(
                Reason.PRECONDITION,
                wanted,
                f"there is no {self._options.kind} {self._options.workload} in namespace "
                f"{self._options.namespace}",
                "Apply the manifests first, with deploy.yml, or name the one there is in "
                "kubernetes.workload",
            )
        return found

    def has_namespace(self) -> bool | None:
        """Whether the namespace exists; None where this user may not know."""
        namespace = self._options.namespace
        path = NAMESPACES.path(name=namespace)
        try:
            return self._client.find(path, f"read namespace {namespace}") is not None
        except OperationError as error:
            if error.reason is Reason.AUTH:
                return None
            raise

    def _require_namespace(self) -> None:
        if self.has_namespace() is False:
            raise OperationError(
                Reason.PRECONDITION,
                f"find namespace {self._options.namespace}",
                "the cluster has no such namespace",
                "Check kubernetes.namespace, or create it with deploy.yml",
            )

    def change(self, workload: Workload, operations: list[Document], wanted: str) -> Workload:
        """Apply JSON patch operations to exactly the version that was read; else `Conflict`."""
        # A resourceVersion that the patch brings is the server's precondition for it.
        guard = {"op": "replace", "path": "/metadata/resourceVersion", "value": workload.version}
        path = self._resource.path(workload.namespace, workload.name)
        changed = self._client.patch(path, [guard, *operations], wanted, JSON_PATCH)
        return Workload(workload.kind, changed)

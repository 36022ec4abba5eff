# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The autoscaler of Kubernetes: a HorizontalPodAutoscaler for the agent's workload."""

from __future__ import annotations

import contextlib
from typing import Any

from ...core.clock import Clock
from ...core.deadline import Deadline, backoff, poll
from ...core.errors import OperationError, Reason
from ..autoscaling.autoscaler import BY_KUBERNETES, Status
from ..autoscaling.policy import Policy
from .autoscaler_object import (
    autoscaler_object,
    containers_without_cpu_request,
    is_ours,
    policy_of,
    policy_patch,
    scales,
    status_of,
)
from .client import KubernetesClient
from .options import ClusterOptions
from .owners import owner_of
from .resources import AUTOSCALERS, PODS
from .workload import Workload, WorkloadApi

Document = dict[str, Any]


class KubernetesAutoscaler:
    """Creates, changes and removes the object; one that somebody else made only with `force`."""

    def __init__(
        self, agent: str, client: KubernetesClient, options: ClusterOptions, clock: Clock
    ) -> None:
        self._agent = agent
        self._client = client
        self._workloads = WorkloadApi(client, options)
        self._options = options
        self._clock = clock
        self._found: Document | None = None

    def exclusive(self) -> contextlib.AbstractContextManager[object]:
        """Nothing is held: the server refuses a change of what another has changed meanwhile."""
        return contextlib.nullcontext()

    def policy(self) -> dict[str, Any] | None:
        self._found = self._find()
        return policy_of(self._found) if self._found else None

    def require_changeable(self) -> None:
        found = self._found
        if found is None or is_ours(found) or self._options.force:
            return
        owner = owner_of(found)
        maker, place = (owner.name, owner.place) if owner else ("somebody else", "its source")
        raise OperationError(
            Reason.PRECONDITION,
            f"set the policy of {self._title}",
            f"{maker} made its HorizontalPodAutoscaler {found['metadata']['name']}",
            f"Change it in {place}, or take it over with kubernetes.force",
        )

    def require_scalable(self) -> None:
        workload = self._workloads.read(f"set the policy of {self._title}")
        containers = containers_without_cpu_request(workload.template)
        if containers and not self._pods_ask_for_cpu(workload):
            raise OperationError(
                Reason.PRECONDITION,
                f"set the policy of {self._title}",
                f"{', '.join(containers)} asks for no CPU, so that a percentage of it is nothing",
                "Set resources.requests.cpu of each container (cost_agent_requests of deploy.yml)",
            )

    def set_policy(self, policy: Policy) -> str:
        options = self._options
        wanted = autoscaler_object(
            policy, self._agent, options.namespace, options.workload, options.kind
        )
        if self._found is None:
            self._found = self._client.create(
                AUTOSCALERS.path(options.namespace),
                wanted,
                f"create the autoscaler of {self._title}",
            )
            return f"Created HorizontalPodAutoscaler {self._name}"
        change = policy_patch(self._found, wanted)
        self._found = self._client.patch(
            self._path, change, f"change the autoscaler of {self._title}"
        )
        return f"Changed HorizontalPodAutoscaler {self._name}"

    def remove(self) -> str:
        name, metadata = self._name, (self._found or {}).get("metadata") or {}
        self._client.delete(
            self._path, f"remove the autoscaler of {self._title}", metadata.get("resourceVersion")
        )
        self._found = None
        return f"Removed HorizontalPodAutoscaler {name}"

    def status(self, policy: Policy, window_s: float, remember: bool) -> Status:
        """What the object says; of a new one, what Kubernetes says of it within `window_s`.

        Its controller looks every 15 s (--horizontal-pod-autoscaler-sync-period).
        """
        if self._found is None:  # check mode has not created it
            return Status(BY_KUBERNETES)

        def look() -> Document | None:
            found = self._client.get(self._path, f"read the autoscaler of {self._title}")
            return found if (found.get("status") or {}).get("conditions") else None

        deadline = Deadline(self._clock, window_s)
        seen = poll(look, deadline, self._clock, backoff(first=0.2, longest=1.0))
        return status_of(seen or self._found)

    # --- what there is ------------------------------------------------------------------------

    def _find(self) -> Document | None:
        """The object that scales the workload, by whatever name; two of them fight."""
        options = self._options
        found: list[Document] = self._client.objects(
            AUTOSCALERS.path(options.namespace), f"list the autoscalers of {self._title}"
        )
        of_workload = [each for each in found if scales(each, options.kind, options.workload)]
        if len(of_workload) > 1:
            names = " and ".join(each["metadata"]["name"] for each in of_workload)
            raise OperationError(
                Reason.PRECONDITION,
                f"find the autoscaler of {self._title}",
                f"{names} both scale it, and Kubernetes lets neither",
                "Delete all of them but one",
            )
        return of_workload[0] if of_workload else None

    def _pods_ask_for_cpu(self, workload: Workload) -> bool:
        """Whether the namespace's LimitRange gives its pods what the template does not.

        Only pods of this template tell, and so nothing does while it is rolled out.
        """
        status = workload.status
        if not workload.is_observed or status.get("updatedReplicas") != status.get("replicas"):
            return False
        missing = self._client.objects(
            PODS.path(workload.namespace),
            f"list the pods of {self._title}",
            labels=workload.selector,
            keep=containers_without_cpu_request,
        )
        return bool(missing) and not any(missing)

    @property
    def _title(self) -> str:
        return f"{self._options.kind} {self._options.namespace}/{self._options.workload}"

    @property
    def _name(self) -> str:
        return str((self._found or {})["metadata"]["name"])

    @property
    def _path(self) -> str:
        return AUTOSCALERS.path(self._options.namespace, self._name)

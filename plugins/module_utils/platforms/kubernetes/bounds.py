# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A HorizontalPodAutoscaler that targets the workload: moved along or obeyed, never fought.

A count asks for at least so many replicas: it becomes the autoscaler's `minReplicas`. What the
autoscaler's own policy had there is kept in an annotation, and no count goes below it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...core.errors import OperationError, Reason
from .client import KubernetesClient
from .names import FLOOR_ANNOTATION
from .owners import owner_of
from .resources import AUTOSCALERS
from .workload import Workload

Document = dict[str, Any]


@dataclass(frozen=True)
class Autoscaler:
    """One reading of an autoscaler; `floor` is the `minReplicas` of its policy."""

    document: Document

    @property
    def name(self) -> str:
        return str(self.document["metadata"]["name"])

    @property
    def min_replicas(self) -> int:
        return int(self.document["spec"].get("minReplicas", 1))

    @property
    def max_replicas(self) -> int:
        return int(self.document["spec"]["maxReplicas"])

    @property
    def floor(self) -> int:
        return floor_of(self.document)


@dataclass(frozen=True)
class Bounds:
    """Bounds to be set; `floor` is None where the minimum is the policy's again."""

    min_replicas: int
    max_replicas: int
    floor: int | None

    def body(self, autoscaler: Autoscaler) -> Document:
        """The merge patch that sets them on exactly the version that was read."""
        return {
            "metadata": {
                "resourceVersion": autoscaler.document["metadata"]["resourceVersion"],
                "annotations": {FLOOR_ANNOTATION: None if self.floor is None else str(self.floor)},
            },
            "spec": {"minReplicas": self.min_replicas, "maxReplicas": self.max_replicas},
        }


def floor_of(document: Mapping[str, Any]) -> int:
    """The least of an autoscaler's policy, whatever count was asked for since."""
    annotations = (document.get("metadata") or {}).get("annotations") or {}
    text = annotations.get(FLOOR_ANNOTATION, "")
    return int(text) if text.isdigit() else int(document["spec"].get("minReplicas", 1))


def find_autoscaler(client: KubernetesClient, workload: Workload) -> Autoscaler | None:
    """The autoscaler that targets the workload."""
    found = client.objects(
        AUTOSCALERS.path(workload.namespace),
        f"list the autoscalers of {workload.title}",
        not_older_than=workload.version,
    )
    for document in found:
        target = document["spec"]["scaleTargetRef"]
        if (target.get("kind"), target.get("name")) == (workload.kind, workload.name):
            return Autoscaler(document)
    return None


def bounds_for(
    autoscaler: Autoscaler, count: int, is_new: bool, adjust: bool, force: bool
) -> Bounds | None:
    """The bounds that a count asks for; None where they hold already.

    `is_new` tells that the count is another than before: one that is only remembered gives way to
    the autoscaler's floor. Raises `precondition` for a count outside the bounds, unless `adjust`.
    """
    least, most = autoscaler.floor, autoscaler.max_replicas
    if count > most and not adjust:
        raise _outside(autoscaler, count, f"its maximum is {most}")
    if count < least and is_new and not adjust:
        raise _outside(autoscaler, count, f"its minimum is {least}")
    if count < least:
        wanted = Bounds(count, most, None) if adjust and is_new else Bounds(least, most, None)
    else:
        wanted = Bounds(count, max(count, most), least if count > least else None)
    held = Bounds(autoscaler.min_replicas, most, least if autoscaler.min_replicas > least else None)
    if wanted == held:
        return None
    owner = owner_of(autoscaler.document)
    if owner is not None and not force:
        raise OperationError(
            Reason.PRECONDITION,
            f"bring at least {count} replicas",
            f"{owner.name} owns HorizontalPodAutoscaler {autoscaler.name}, and would put its "
            f"bounds back",
            f"Change the bounds in {owner.place}, or give kubernetes.force",
            state=_state(autoscaler),
        )
    return wanted


def _outside(autoscaler: Autoscaler, count: int, bound: str) -> OperationError:
    return OperationError(
        Reason.PRECONDITION,
        f"run {count} replicas",
        f"HorizontalPodAutoscaler {autoscaler.name} would undo that, since {bound}",
        "Ask for a count within its bounds, change its policy with autoscale.yml, or give "
        "kubernetes.adjust_autoscaler",
        state=_state(autoscaler),
    )


def _state(autoscaler: Autoscaler) -> Document:
    return {
        "autoscaler": {
            "name": autoscaler.name,
            "min_replicas": autoscaler.min_replicas,
            "max_replicas": autoscaler.max_replicas,
        }
    }

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The templates that a workload had: ReplicaSets of a Deployment, ControllerRevisions else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .client import KubernetesClient
from .names import (
    REVISION_ANNOTATION,
    REVISION_HISTORY_ANNOTATION,
    TEMPLATE_HASH_LABEL,
)
from .pods import epoch
from .resources import CONTROLLER_REVISIONS, REPLICA_SETS
from .template import fingerprint, without_marks
from .workload import Workload

Document = dict[str, Any]


@dataclass(frozen=True)
class Revision:
    """One template.

    `number` is its newest number, `former` those that it had before a rollback brought it back;
    `hash` is the label's value that its pods have.
    """

    number: int
    former: tuple[int, ...]
    hash: str
    name: str
    template: Document
    created_at: float

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.template)


def list_revisions(client: KubernetesClient, workload: Workload) -> list[Revision]:
    """The revisions that the cluster keeps (`revisionHistoryLimit`), newest first."""
    resource = CONTROLLER_REVISIONS if workload.is_stateful else REPLICA_SETS
    found = client.objects(
        resource.path(workload.namespace),
        f"list the revisions of {workload.title}",
        labels=workload.selector,
        not_older_than=workload.version,
    )
    read = _of_controller_revision if workload.is_stateful else _of_replica_set
    revisions = [read(each) for each in found if _is_owned(each, workload)]
    return sorted(revisions, key=lambda revision: revision.number, reverse=True)


def current_revision(workload: Workload, revisions: Sequence[Revision]) -> Revision | None:
    """The revision of the template that there is now; None until pods are made from it.

    A Deployment's number may still be the one before: where a change brings a count along, its
    controller first scales what there is, says that it has observed the change, and only then
    makes the new ReplicaSet. The count of updated pods tells.
    """
    if not workload.is_observed:
        return None
    if workload.is_stateful:
        name = workload.status.get("updateRevision")
        return next((each for each in revisions if each.name == name), None)
    if not workload.status.get("updatedReplicas"):
        return None
    number = workload.revision
    return next((each for each in revisions if str(each.number) == number), None)


def numbered(revisions: Sequence[Revision], number: int) -> Revision | None:
    """The revision of a number that it has or had."""
    return next((each for each in revisions if number in (each.number, *each.former)), None)


def _is_owned(document: Document, workload: Workload) -> bool:
    references = document["metadata"].get("ownerReferences") or []
    return any(reference.get("uid") == workload.uid for reference in references)


def _of_replica_set(document: Document) -> Revision:
    metadata = document["metadata"]
    annotations = metadata.get("annotations") or {}
    history = annotations.get(REVISION_HISTORY_ANNOTATION, "")
    return Revision(
        number=int(annotations.get(REVISION_ANNOTATION, 0)),
        former=tuple(int(each) for each in history.split(",") if each.isdigit()),
        hash=(metadata.get("labels") or {}).get(TEMPLATE_HASH_LABEL, ""),
        name=metadata["name"],
        template=without_marks(document["spec"]["template"]),
        created_at=epoch(metadata.get("creationTimestamp")) or 0.0,
    )


def _of_controller_revision(document: Document) -> Revision:
    metadata = document["metadata"]
    return Revision(
        number=int(document["revision"]),
        former=(),
        hash=metadata["name"],
        name=metadata["name"],
        template=without_marks(document["data"]["spec"]["template"]),
        created_at=epoch(metadata.get("creationTimestamp")) or 0.0,
    )

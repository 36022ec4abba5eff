# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a variable of the agent's container comes from, when that is not our environment."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ...core.errors import OperationError, Reason
from .cluster import Cluster
from .owners import owner_of
from .resources import CONFIG_MAPS, SECRETS
from .template import agent_container
from .workload import Workload

Document = dict[str, Any]


def require_no_other_source(cluster: Cluster, agent: str, names: Collection[str]) -> None:
    """Raise `precondition` where the user keeps one of these variables, naming where to change it.

    Also where the workload has an owner that would put our change back, unless kubernetes.force.
    """
    workload = cluster.workloads.find()
    if workload is None:
        return
    wanted = f"set {', '.join(names)} of {workload.title}"
    owner = owner_of(workload.document)
    if owner is not None and not cluster.options.force:
        raise OperationError(
            Reason.PRECONDITION,
            wanted,
            f"{owner.name} owns it, and would put it back",
            f"Change them in {owner.place}, or give kubernetes.force",
        )
    container = agent_container(workload.template, agent, cluster.options.container)
    for name, place, next_step in _sources(cluster, workload, container):
        if name in names:
            raise OperationError(
                Reason.PRECONDITION, wanted, f"{name} is kept in {place}", next_step
            )


def _sources(
    cluster: Cluster, workload: Workload, container: Mapping[str, Any]
) -> Iterator[tuple[str, str, str]]:
    """Each variable of the user's, the place that keeps it, and what to do there."""
    for entry in container.get("env") or []:
        yield (entry["name"], *_entry_place(workload, entry))
    for entry in container.get("envFrom") or []:
        if cluster.environments.is_ours(entry):
            continue
        is_secret = "secretRef" in entry
        reference = entry.get("secretRef") or entry.get("configMapRef") or {}
        kind, resource = ("Secret", SECRETS) if is_secret else ("ConfigMap", CONFIG_MAPS)
        title = f"{kind} {workload.namespace}/{reference.get('name')}"
        path = resource.path(workload.namespace, str(reference.get("name")))
        try:
            found = cluster.client.find(path, f"read {title}")
        except OperationError as error:
            if is_secret and error.reason is Reason.AUTH:
                continue  # a user's Secret is not ours to read, and sizes of pools are none
            raise
        if found is None:
            continue
        owner = owner_of(found)
        place = f"{title}, which {owner.name} owns" if owner else title
        step = f"Change it in {owner.place if owner else title}, then restart with restart.yml"
        for key in found.get("data") or {}:
            yield entry.get("prefix", "") + key, place, step


def _entry_place(workload: Workload, entry: Mapping[str, Any]) -> tuple[str, str]:
    """Of an `env` entry, which wins over every `envFrom`."""
    source = entry.get("valueFrom") or {}
    for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
        if field in source:
            title = f"{kind} {workload.namespace}/{source[field]['name']}"
            return title, f"Change it in {title}, then restart with restart.yml"
    return f"the template of {workload.title}", "Change or remove that env entry in its manifest"

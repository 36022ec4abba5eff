# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A command of a new release, run once as a Job before the release becomes current."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ...core.clock import Clock
from ...core.context import Context
from ...core.deadline import Deadline, backoff, poll
from ...core.errors import OperationError, Reason
from ..migration import Migration
from .cluster import Cluster
from .errors import Conflict
from .names import (
    AGENT_LABEL,
    KEY_ANNOTATION,
    KIND_LABEL,
    MANAGED_BY,
    MANAGED_BY_LABEL,
)
from .pods import slim
from .predicates import pod_trouble
from .resources import JOBS, PODS
from .template import agent_container, wanted_template
from .workload import Workload

Document = dict[str, Any]

_KIND = "migration"
_LOG_TAIL_LINES = 40
# What a run that was killed leaves is there to be read for an hour, then nobody misses it.
_KEPT_S = 3600
_LONGEST_PAUSE_S = 0.5
# Of a server's container, and meaningless for a command that ends.
_SERVING_FIELDS = (
    "args",
    "lifecycle",
    "livenessProbe",
    "ports",
    "readinessProbe",
    "startupProbe",
)


class KubernetesMigrator:
    """Runs the command in a pod that is as the agent's in everything but the command."""

    def __init__(self, agent: str, cluster: Cluster, clock: Clock) -> None:
        self._agent = agent
        self._cluster = cluster
        self._clock = clock
        self._name = f"{agent}-{_KIND}"
        self._trouble_since: dict[str, float] = {}

    def migrate(
        self, release_id: str, migration: Migration, deadline: Deadline, context: Context
    ) -> None:
        """Run it to the end; one that a killed run of the same left is waited for instead.

        Raises `timeout`, and `failed_state` with `events` and the redacted `log_tail`.
        """
        with self._cluster.client.within(deadline):
            workload = self._cluster.workloads.read(f"run the migration of {release_id}")
            self._cluster.environments.write(migration.environment)
            job = migration_job(self._cluster, self._agent, workload, release_id, migration)
            job["spec"]["activeDeadlineSeconds"] = max(1, round(deadline.remaining))
            self._begin(job, deadline)
            try:
                self._wait(release_id, migration, deadline, context)
            finally:
                self._delete()

    def _begin(self, job: Document, deadline: Deadline) -> None:
        """Create the job; another of the name is waited for until it has ended, and removed."""
        wanted = f"create Job {self._name}"

        def attempt() -> bool | None:
            try:
                self._cluster.client.create(JOBS.path(self._namespace), job, wanted)
                return True
            except Conflict:
                there = self._find()
                if there is not None and _key(there) == _key(job) and not _is_over(there):
                    return True
                if there is not None and _is_over(there):
                    self._delete()
                return None

        if not poll(attempt, deadline, self._clock, backoff(longest=_LONGEST_PAUSE_S)):
            raise OperationError(
                Reason.TIMEOUT,
                wanted,
                "the migration of an earlier run has not ended",
                f"See its pod: kubectl logs -n {self._namespace} job/{self._name}",
            )

    def _wait(
        self, release_id: str, migration: Migration, deadline: Deadline, context: Context
    ) -> None:
        def look() -> Document | None:
            job = self._find()
            context.progress.update(f"migration of {release_id}")
            if job is not None and _is_over(job):
                return job
            self._raise_for_trouble(release_id, migration)
            return None

        job = poll(look, deadline, self._clock, backoff(longest=_LONGEST_PAUSE_S))
        status = (job or {}).get("status") or {}
        if status.get("succeeded"):
            return
        expired = any(
            each.get("reason") == "DeadlineExceeded" for each in status.get("conditions") or []
        )
        is_late = job is None or expired
        raise self._failure(
            Reason.TIMEOUT if is_late else Reason.FAILED_STATE,
            f"it did not end within {deadline.seconds:g} s" if is_late else "its command failed",
            release_id,
            migration,
        )

    def _raise_for_trouble(self, release_id: str, migration: Migration) -> None:
        now = self._clock.monotonic()
        for pod in self._pods():
            trouble = pod_trouble(pod)
            if trouble is None or pod["status"].get("phase") == "Failed":
                continue
            since = self._trouble_since.setdefault(trouble.reason, now)
            if now - since >= trouble.grace_s:
                raise self._failure(
                    Reason.FAILED_STATE,
                    f"{trouble.reason}: {trouble.seen}",
                    release_id,
                    migration,
                )

    def _failure(
        self, reason: Reason, seen: str, release_id: str, migration: Migration
    ) -> OperationError:
        evidence, secrets = self._cluster.evidence, migration.environment.secret_values()
        workload = self._cluster.workloads.find()
        if workload is not None:
            secrets |= self._cluster.environments.secrets_of(workload.template)
        tail: list[str] = []
        events: list[str] = []
        for pod in self._pods()[-1:]:
            container = pod["spec"]["containers"][0]["name"]
            tail = evidence.tail(pod, container, _LOG_TAIL_LINES, self._clock.now(), secrets)
            events = evidence.events(pod["metadata"]["name"], secrets)
        return OperationError(
            reason,
            f"run the migration {migration} of release {release_id}",
            seen,
            "Read events and log_tail in this result; the release before it is still current",
            log_tail=tail,
            events=events,
        )

    def _pods(self) -> list[Document]:
        found: list[Document] = self._cluster.client.objects(
            PODS.path(self._namespace),
            f"list the pods of Job {self._name}",
            labels=f"job-name={self._name}",
            keep=slim,
        )
        return sorted(found, key=lambda pod: str(pod["status"].get("startTime", "")))

    def _find(self) -> Document | None:
        path = JOBS.path(self._namespace, self._name)
        return self._cluster.client.find(path, f"read Job {self._name}")

    def _delete(self) -> None:
        path = JOBS.path(self._namespace, self._name)
        self._cluster.client.delete(path, f"remove Job {self._name}")

    @property
    def _namespace(self) -> str:
        return self._cluster.options.namespace


def migration_job(
    cluster: Cluster, agent: str, workload: Workload, release_id: str, migration: Migration
) -> Document:
    """The Job: the agent's pod without its probes, with the command; in no Service's selector."""
    named = cluster.options.container
    container_name = str(agent_container(workload.template, agent, named)["name"])
    template = wanted_template(
        workload.template,
        container_name,
        release_id,
        cluster.environments.source(migration.environment),
        cluster.environments.is_ours,
        None,
        None,
    )
    labels = {MANAGED_BY_LABEL: MANAGED_BY, AGENT_LABEL: agent, KIND_LABEL: _KIND}
    key = json.dumps([release_id, list(migration.command)])
    return {
        "apiVersion": JOBS.api_version,
        "kind": "Job",
        "metadata": {
            "name": f"{agent}-{_KIND}",
            "labels": labels,
            "annotations": {KEY_ANNOTATION: hashlib.sha256(key.encode()).hexdigest()[:16]},
        },
        "spec": {
            "backoffLimit": 0,  # half a migration is not begun again by itself
            "ttlSecondsAfterFinished": _KEPT_S,
            "template": {
                "metadata": {"labels": labels},
                "spec": _pod_of(template["spec"], container_name, list(migration.command)),
            },
        },
    }


def _pod_of(spec: Mapping[str, Any], container_name: str, command: list[str]) -> Document:
    pod: Document = copy.deepcopy(dict(spec))
    container = next(c for c in pod["containers"] if c["name"] == container_name)
    for field in _SERVING_FIELDS:
        container.pop(field, None)
    container["command"] = command
    # A sidecar that serves on would keep the Job from ending.
    pod["containers"] = [container]
    pod["restartPolicy"] = "Never"
    pod.pop("topologySpreadConstraints", None)
    return pod


def _is_over(job: Mapping[str, Any]) -> bool:
    conditions = (job.get("status") or {}).get("conditions") or []
    return any(
        each.get("type") in ("Complete", "Failed") and each.get("status") == "True"
        for each in conditions
    )


def _key(job: Mapping[str, Any]) -> str:
    return str((job["metadata"].get("annotations") or {}).get(KEY_ANNOTATION, ""))

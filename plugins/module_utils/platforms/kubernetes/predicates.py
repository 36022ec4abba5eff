# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the status of a workload and of its pods means: pure, on the server's own documents.

https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status
https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .workload import Workload

Document = Mapping[str, Any]

# How long each trouble is looked at before it ends a wait, in seconds. All are within the 10 s
# that a failure is to be told in.
# The kubelet says ErrImagePull once and ImagePullBackOff from then on; a registry that is slow to
# learn of a push gets the time between two looks.
IMAGE_GRACE_S = 4.0
# A ConfigMap that was made a moment ago may not have reached the kubelet's cache.
CONFIG_GRACE_S = 4.0
# A pod that ends may still count against a quota.
QUOTA_GRACE_S = 5.0
# An autoscaler of nodes marks a pod that it will make room for within its scan interval of 10 s
# (https://github.com/kubernetes/autoscaler/blob/master/cluster-autoscaler/FAQ.md); a pod that is
# so marked is waited for until the deadline.
UNSCHEDULABLE_GRACE_S = 8.0

_IMAGE_REASONS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "ImageInspectError", "RegistryUnavailable"}
)
_HOPELESS_REASONS = frozenset({"CrashLoopBackOff", "InvalidImageName", "ErrImageNeverPull"})
_CONFIG_REASONS = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
)


@dataclass(frozen=True)
class Trouble:
    """What keeps a pod or a workload from being ready, and how long it is given to pass.

    `has_log` tells that the container ran, so its log says more. `container` is the one concerned.
    """

    reason: str
    seen: str
    grace_s: float = 0.0
    container: str = ""
    has_log: bool = False


@dataclass(frozen=True)
class Progress:
    """How far a rollout is: `ready` of `wanted` are on the template, available and ready."""

    is_done: bool
    ready: int
    wanted: int
    seen: str


def rollout_progress(workload: Workload) -> Progress:
    """Whether the workload's controller has done all that its specification asks for.

    The conditions are those of `kubectl rollout status`, and that all replicas are ready.
    """
    status, wanted = workload.status, workload.replicas
    updated = int(status.get("updatedReplicas", 0))
    total = int(status.get("replicas", 0))
    ready = int(status.get("readyReplicas", 0))
    available = int(status.get("availableReplicas", 0))
    if workload.is_stateful and status.get("currentRevision") == status.get("updateRevision"):
        updated = total  # the controller stops counting them once all are
    of_all = f"of {wanted}"
    if not workload.is_observed:
        seen = "its controller has not seen the change yet"
    elif updated < wanted:
        seen = f"{updated} {of_all} replicas are on the new template"
    elif total > updated:
        seen = f"{total - updated} old replicas are still there"
    elif ready < wanted:
        seen = f"{ready} {of_all} replicas are ready"
    elif available < wanted:
        seen = f"{available} {of_all} replicas are available"
    elif total > wanted:
        seen = f"{total - wanted} replicas too many are still there"
    else:
        return Progress(True, ready, wanted, f"{ready} {of_all} replicas are ready")
    return Progress(False, min(ready, updated), wanted, seen)


def workload_trouble(workload: Workload) -> Trouble | None:
    """What the workload's controller says it cannot do."""
    if not workload.is_observed:
        return None
    for condition in workload.status.get("conditions") or []:
        kind, value = condition.get("type"), condition.get("status")
        message = str(condition.get("message", ""))
        if kind == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            return Trouble("ProgressDeadlineExceeded", message)
        if kind == "ReplicaFailure" and value == "True":
            return creation_trouble(message)
    return None


def creation_trouble(message: str) -> Trouble:
    """Why pods cannot even be made: mostly a quota, a limit range or an admission policy."""
    reason = "QuotaExceeded" if "exceeded quota" in message else "FailedCreate"
    return Trouble(reason, message, QUOTA_GRACE_S)


def pod_trouble(pod: Document) -> Trouble | None:
    """What keeps a pod from starting; None for one that only takes its time."""
    status = pod.get("status") or {}
    if status.get("phase") == "Failed":
        reason = status.get("reason") or "Failed"
        return Trouble(reason, str(status.get("message") or reason), CONFIG_GRACE_S)
    unschedulable = _unschedulable(status)
    if unschedulable is not None:
        return unschedulable
    for kind, states in (
        ("init container", status.get("initContainerStatuses")),
        ("container", status.get("containerStatuses")),
    ):
        for state in states or []:
            trouble = _container_trouble(kind, state)
            if trouble is not None:
                return trouble
    return None


def _unschedulable(status: Document) -> Trouble | None:
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
            message = str(condition.get("message", ""))
            return Trouble("Unschedulable", _why_unschedulable(message), UNSCHEDULABLE_GRACE_S)
    return None


def _why_unschedulable(message: str) -> str:
    """The scheduler's words, with what they mean in front."""
    causes = []
    lacking = sorted(set(re.findall(r"Insufficient ([\w./-]*\w)", message)))
    if lacking:
        causes.append(f"no node has enough {' and '.join(lacking)} left")
    if "were unschedulable" in message or "node.kubernetes.io/unschedulable" in message:
        causes.append("a node is cordoned")
    if "untolerated taint" in message and "unschedulable" not in message:
        causes.append("a node has a taint")
    if "topology spread" in message:
        causes.append("its topology spread does not allow the nodes")
    words = message.partition(" preemption:")[0].strip().rstrip(".")
    return f"{', '.join(causes)} ({words})" if causes else words


def _container_trouble(kind: str, state: Document) -> Trouble | None:
    name = str(state.get("name", ""))
    waiting = (state.get("state") or {}).get("waiting") or {}
    reason, message = str(waiting.get("reason", "")), str(waiting.get("message", ""))
    where = f"{kind} {name}"
    if reason == "CrashLoopBackOff":
        ended = how_it_ended((state.get("lastState") or {}).get("terminated") or {})
        times = int(state.get("restartCount", 0))
        seen = f"{where} {ended or 'ended'}, after {times} restarts"
        return Trouble(reason, seen, 0.0, name, has_log=True)
    if reason in _HOPELESS_REASONS:
        return Trouble(reason, f"{where}: {message or reason}", 0.0, name)
    if reason in _IMAGE_REASONS:
        return Trouble(reason, f"{where}: {message or reason}", IMAGE_GRACE_S, name)
    if reason in _CONFIG_REASONS:
        return Trouble(reason, f"{where}: {message or reason}", CONFIG_GRACE_S, name)
    return None


def how_it_ended(terminated: Document) -> str:
    """`ended with exit code 3`, `was killed for lack of memory`; empty for one that did not."""
    if not terminated:
        return ""
    reason, code = terminated.get("reason"), terminated.get("exitCode")
    if reason == "OOMKilled":
        return "was killed for lack of memory (OOMKilled)"
    if terminated.get("signal"):
        return f"was ended by signal {terminated['signal']}"
    words = f"ended with exit code {code}"
    return words if reason in (None, "Error", "Completed") else f"{words} ({reason})"


def is_ending(pod: Document) -> bool:
    """Whether the pod was asked to end: it is nobody's replica any more."""
    return bool((pod.get("metadata") or {}).get("deletionTimestamp"))


def is_ready(pod: Document) -> bool:
    return condition_of(pod, "Ready").get("status") == "True"


def condition_of(pod: Document, kind: str) -> Document:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return next((each for each in conditions if each.get("type") == kind), {})


def container_status(pod: Document, container: str) -> Document:
    """The status of one container, empty before it has one."""
    states = (pod.get("status") or {}).get("containerStatuses") or []
    return next((each for each in states if each.get("name") == container), {})

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wait for a rollout: until all that was asked for holds, or something cannot recover."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...core.context import Context
from ...core.deadline import Deadline, backoff, cut_short, poll
from ...core.errors import OperationError, Reason
from ..agent_options import Limits
from ..protocol import Report
from .cluster import Cluster
from .pods import container_of, image_id, list_all_pods, template_hash
from .predicates import (
    Progress,
    Trouble,
    container_status,
    is_ending,
    is_ready,
    pod_trouble,
    rollout_progress,
    workload_trouble,
)
from .resources import PODS
from .revisions import current_revision, list_revisions
from .template import agent_container
from .workload import Workload

_LOG_TAIL_LINES = 20
# Between two looks: 0.05 s at first, and 0.1 s after five seconds. A watch would say it sooner by
# less than this, and must be resumed when it is cut off (docs/decisions/0060).
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 0.5
_PAUSE_GROWTH = 1.01
# A workload that did not change has pods as ready as before. What else happens to one that is on
# its way, an image that cannot be pulled for example, is seen this often.
_PODS_EVERY_S = 0.5
# What autoscalers of nodes say of a pod that they make room for.
_ROOM_IS_COMING = ("TriggeredScaleUp:", "Nominated:")
_NEXT_STEPS = {
    "Unschedulable": "Make room on the nodes, uncordon one, or ask for less",
    "QuotaExceeded": "Raise the namespace's ResourceQuota, or ask for less",
    "FailedCreate": "See what the server says of the pods, and correct the manifests",
    "ImagePullBackOff": "Check the image's name and tag, and the right to pull it",
    "ErrImagePull": "Check the image's name and tag, and the right to pull it",
    "InvalidImageName": "Check the image's name and tag",
}
_NEXT_STEP = (
    "Read events and log_tail in this result, correct the release or its environment, and run this "
    "again; the replicas before it serve on"
)


@dataclass(frozen=True)
class Expectation:
    """What is waited for; an `image` of None is a workload without pods.

    `digest` is what the image's name stood for when it was recorded, empty where nobody knows.
    """

    image: str | None
    digest: str
    is_canary: bool
    is_replacing: bool
    is_touched: bool


@dataclass(frozen=True)
class _Look:
    """One look at everything: `pods` are those that stay, `current` those of the template."""

    workload: Workload
    everything: list[Mapping[str, Any]]
    pods: list[Mapping[str, Any]]
    current: list[Mapping[str, Any]]
    progress: Progress


class RolloutWait:
    """Polls the workload and its pods, within one deadline."""

    def __init__(
        self,
        cluster: Cluster,
        agent: str,
        expectation: Expectation,
        limits: Limits,
        deadline: Deadline,
        context: Context,
    ) -> None:
        self._cluster = cluster
        self._agent = agent
        self._expectation = expectation
        self._limits = limits
        self._deadline = deadline
        self._context = context
        self._trouble_since: dict[tuple[str, str], float] = {}
        self._hashes: dict[int, str] = {}
        self._deleted: set[str] = set()
        self._last: _Look | None = None
        self._listed_at = 0.0

    def until_it_holds(self, report: Report) -> None:
        """Return when it has held for `stable_s`.

        A pod that is not ready any more, or was restarted, begins that time anew. Raises
        `failed_state` with `events` and `log_tail`, `integrity` for an image that is another than
        recorded, `timeout` with the last state.
        """
        clock = self._context.clock
        begun = clock.monotonic()
        ready_since: float | None = None
        held: set[tuple[str, int]] = set()

        def look() -> _Look | None:
            nonlocal ready_since, held
            now = self._look()
            self._count_ready(now, report)
            if not self._holds(now):
                ready_since = None
                self._raise_for_trouble(now)
                return None
            now_held = self._identities(now)
            if ready_since is None or now_held != held:
                ready_since, held = clock.monotonic(), now_held
            stable_s = self._limits.stable_s if self._expectation.is_touched else 0
            return now if clock.monotonic() - ready_since >= stable_s else None

        def left_s() -> float | None:
            if ready_since is None:
                return None
            return self._limits.stable_s - (clock.monotonic() - ready_since)

        pauses = cut_short(
            backoff(first=_FIRST_PAUSE_S, factor=_PAUSE_GROWTH, longest=_LONGEST_PAUSE_S), left_s
        )
        last = poll(look, self._deadline, clock, pauses)
        if last is None:
            raise self._never_ready(self._look())
        self._require_recorded_digest(last)
        if self._expectation.is_touched:
            report.actions.append(self._done_text(last, clock.monotonic() - begun))

    # --- one look -----------------------------------------------------------------------------

    def _look(self) -> _Look:
        workload = self._cluster.workloads.read(f"wait for {self._agent}")
        if self._last is not None and self._is_as_before(workload, self._last):
            return self._last
        self._listed_at = self._context.clock.monotonic()
        # A cache that is behind shows what was: too few ready pods, never too many, since the
        # workload, which is read as it is, has to agree. Of pods that are gone it says nothing.
        not_older_than = "" if self._expectation.image is None else "0"
        everything: list[Mapping[str, Any]] = list(
            list_all_pods(self._cluster.client, workload, not_older_than)
        )
        pods = [pod for pod in everything if not is_ending(pod)]
        wanted_hash = self._current_hash(workload)
        current = [pod for pod in pods if wanted_hash and template_hash(pod) == wanted_hash]
        progress = rollout_progress(workload)
        self._context.progress.update(
            f"{workload.title}: {progress.seen}", progress.ready, progress.wanted
        )
        self._last = _Look(workload, everything, pods, current, progress)
        return self._last

    def _is_as_before(self, workload: Workload, last: _Look) -> bool:
        """Whether the pods need no look: what does not hold yet can only do so with a change.

        A stop waits for pods to be gone, of which the workload tells nothing.
        """
        return (
            self._expectation.image is not None
            and workload.version == last.workload.version
            and self._context.clock.monotonic() - self._listed_at < _PODS_EVERY_S
            and not self._holds(last)
        )

    def _current_hash(self, workload: Workload) -> str:
        """The hash of the pods that the present template makes; empty before they are made."""
        generation = int(workload.document["metadata"].get("generation", 0))
        if generation not in self._hashes:
            revisions = list_revisions(self._cluster.client, workload)
            revision = current_revision(workload, revisions)
            if revision is None:
                return ""
            self._hashes[generation] = revision.hash
        return self._hashes[generation]

    def _holds(self, look: _Look) -> bool:
        if self._expectation.image is None:
            return look.workload.replicas == 0 and not look.everything
        if self._expectation.is_canary and look.workload.brake is not None:
            ready = [pod for pod in look.current if is_ready(pod)]
            others = [pod for pod in look.pods if is_ready(pod) and pod not in look.current]
            least = look.workload.replicas - (1 if look.workload.is_stateful else 0)
            is_agreed = int(look.workload.status.get("readyReplicas", 0)) > least
            return look.workload.is_observed and is_agreed and bool(ready) and len(others) >= least
        if self._expectation.is_canary:
            return True
        ready_now = [pod for pod in look.current if is_ready(pod)]
        return look.progress.is_done and len(ready_now) >= look.workload.replicas

    def _identities(self, look: _Look) -> set[tuple[str, int]]:
        """Which pods it is, and how often their container was restarted."""
        return {
            (pod["metadata"]["uid"], self._state(pod).get("restartCount", 0))
            for pod in look.current
        }

    def _count_ready(self, look: _Look, report: Report) -> None:
        if not self._expectation.is_replacing:
            return
        ready = sum(is_ready(pod) for pod in look.pods)
        lowest = report.lowest_ready
        report.lowest_ready = ready if lowest is None else min(lowest, ready)

    # --- trouble ------------------------------------------------------------------------------

    def _raise_for_trouble(self, look: _Look) -> None:
        """End the wait for what has kept it from succeeding for longer than its grace."""
        if self._expectation.image is None:
            return
        found: dict[tuple[str, str], tuple[Mapping[str, Any] | None, Trouble]] = {}
        for pod in look.current:
            trouble = None if is_ready(pod) else pod_trouble(pod)
            if trouble is not None:
                # ErrImagePull and ImagePullBackOff take turns, and are one trouble.
                kind = "image" if "ImagePull" in trouble.reason else trouble.reason
                found[(pod["metadata"]["name"], kind)] = (pod, trouble)
        of_all = workload_trouble(look.workload)
        if of_all is not None:
            found[("", of_all.reason)] = (None, of_all)
        self._clear_way(look)
        now = self._context.clock.monotonic()
        self._trouble_since = {key: self._trouble_since.get(key, now) for key in found}
        for key, (concerned, trouble) in found.items():
            if now - self._trouble_since[key] < trouble.grace_s:
                continue
            if trouble.reason == "Unschedulable" and self._room_is_coming(key[0]):
                continue
            raise self._failed(look.workload, concerned, trouble)

    def _clear_way(self, look: _Look) -> None:
        """Delete broken pods of an older template that a StatefulSet waits for.

        It waits for them to be ready before it replaces any, which they never will be
        (https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#forced-rollback).
        """
        if not look.workload.is_stateful or (not look.current and not look.workload.is_observed):
            return
        for pod in look.pods:
            name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
            if pod in look.current or is_ready(pod) or uid in self._deleted:
                continue
            if pod_trouble(pod) is not None:
                path = PODS.path(look.workload.namespace, name)
                self._cluster.client.delete(path, f"delete the broken pod {name}")
                self._deleted.add(uid)

    def _room_is_coming(self, pod: str) -> bool:
        events = self._cluster.evidence.events(pod)
        return any(event.startswith(_ROOM_IS_COMING) for event in events)

    def _failed(
        self, workload: Workload, pod: Mapping[str, Any] | None, trouble: Trouble
    ) -> OperationError:
        wanted = f"bring {workload.title} to {self._expectation.image}"
        next_step = _NEXT_STEPS.get(trouble.reason, _NEXT_STEP)
        evidence = self._cluster.evidence
        secrets = self._cluster.environments.secrets_of(workload.template)
        if pod is None:
            return OperationError(
                Reason.FAILED_STATE,
                wanted,
                f"{trouble.reason}: {trouble.seen}",
                next_step,
                events=evidence.events(workload.name, secrets),
                log_tail=[],
            )
        name = pod["metadata"]["name"]
        tail = self._tail(pod, trouble.container, secrets) if trouble.has_log else []
        seen = f"pod {name}: {trouble.reason}: {trouble.seen}"
        last_words = next((line.strip() for line in reversed(tail) if line.strip()), None)
        if last_words:
            seen += f', and its last words were "{last_words[:200]}"'
        return OperationError(
            Reason.FAILED_STATE,
            wanted,
            seen,
            next_step,
            events=evidence.events(name, secrets),
            log_tail=tail,
        )

    def _never_ready(self, look: _Look) -> OperationError:
        workload, evidence = look.workload, self._cluster.evidence
        within = f"within {self._deadline.seconds:g} s"
        if self._expectation.image is None:
            names = ", ".join(pod["metadata"]["name"] for pod in look.everything)
            return OperationError(
                Reason.TIMEOUT,
                f"see {workload.title} stopped {within}",
                f"these pods are still ending: {names or 'none'}",
                "Give a longer timeout_s than their terminationGracePeriodSeconds",
            )
        secrets = self._cluster.environments.secrets_of(workload.template)
        first = next((pod for pod in look.current if not is_ready(pod)), None)
        if first is None:
            return OperationError(
                Reason.TIMEOUT,
                f"see {workload.title} ready for {self._limits.stable_s:g} s {within}",
                f"its last state was: {look.progress.seen}",
                "See whether its readiness comes and goes, or give a longer timeout_s",
                events=evidence.events(workload.name, secrets),
                log_tail=[],
            )
        name = first["metadata"]["name"]
        trouble = pod_trouble(first)
        state = f"{trouble.reason}: {trouble.seen}" if trouble else "it is not ready"
        return OperationError(
            Reason.TIMEOUT,
            f"see {workload.title} ready {within}",
            f"its last state was: {look.progress.seen}; pod {name}: {state}",
            "Read events and log_tail in this result; what keeps it unready is often its database",
            events=evidence.events(name, secrets),
            log_tail=self._tail(first, self._container(workload), secrets),
        )

    def _tail(self, pod: Mapping[str, Any], container: str, secrets: set[str]) -> list[str]:
        now = self._context.clock.now()
        return self._cluster.evidence.tail(pod, container, _LOG_TAIL_LINES, now, secrets)

    # --- what runs ----------------------------------------------------------------------------

    def _require_recorded_digest(self, look: _Look) -> None:
        """Raise `integrity` where the image's name stands for other contents than recorded."""
        recorded = self._expectation.digest
        if not recorded or self._expectation.image is None:
            return
        container = self._container(look.workload)
        for pod in look.current:
            if container_of(pod, container).get("image") != self._expectation.image:
                continue
            found = image_id(pod, container)
            if found and found != recorded and is_ready(pod):
                raise OperationError(
                    Reason.INTEGRITY,
                    f"run release {self._expectation.image}",
                    f"it was recorded as {recorded}, and pod {pod['metadata']['name']} runs "
                    f"{found} under this name",
                    "Its tag was moved: deploy the contents that are meant by their digest, as "
                    "repository@sha256:..., since what an id names never changes",
                    state={"recorded_digest": recorded, "found_digest": found},
                )

    def _done_text(self, look: _Look, seconds: float) -> str:
        if self._expectation.image is None:
            return f"{look.workload.title} has no pods after {seconds:.1f} s"
        names = _names([pod for pod in look.current if is_ready(pod)])
        return f"{names} ready after {seconds:.1f} s"

    def _container(self, workload: Workload) -> str:
        named = self._cluster.options.container
        return str(agent_container(workload.template, self._agent, named)["name"])

    def _state(self, pod: Mapping[str, Any]) -> dict[str, Any]:
        first = pod["spec"]["containers"][0]["name"]
        return dict(container_status(pod, first))


def _names(pods: Sequence[Mapping[str, Any]]) -> str:
    names = sorted(pod["metadata"]["name"] for pod in pods)
    if len(names) > 5:
        return f"{len(names)} pods were"
    return f"{', '.join(names)} {'was' if len(names) == 1 else 'were'}"

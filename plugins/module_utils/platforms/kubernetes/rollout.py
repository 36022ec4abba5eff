# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way to a goal on Kubernetes: one patch of the workload, then a wait until it holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from ...core.context import Context
from ...core.deadline import Deadline
from ...core.errors import OperationError, Reason
from ..agent_options import Limits, Serving
from ..intent import DEFAULT_REPLICAS
from ..protocol import Goal, Replica, Report, Specification
from .bounds import Autoscaler, Bounds, bounds_for, find_autoscaler
from .brake import brake_off, brake_on
from .cluster import Cluster
from .errors import Conflict
from .hold import hold_off
from .owners import changed_fields, field_text, manager_of, owner_of, shortened
from .releases import KubernetesReleaseStore
from .resources import AUTOSCALERS
from .revisions import list_revisions
from .template import agent_container, fingerprint, wanted_template
from .waiting import Expectation, RolloutWait
from .workload import Workload

Document = dict[str, Any]


@dataclass(frozen=True)
class Change:
    """What is to be changed of one reading of the workload; `operations` are a JSON patch.

    `replicas` and `image` are what the workload has then; `is_replacing` that pods are replaced.
    `actions` are pairs: what it would do, and what it did.
    """

    operations: list[Document] = field(default_factory=list)
    actions: list[tuple[str, str]] = field(default_factory=list)
    replicas: int = 0
    image: str = ""
    is_replacing: bool = False


class RolloutPlan:
    """Finds out what a goal takes, and does it. Nothing is touched before `carry_out`."""

    def __init__(
        self,
        cluster: Cluster,
        releases: KubernetesReleaseStore,
        serving: Serving | None,
        goal: Goal,
        agent: str,
        seen: Sequence[Replica],
        now: float,
    ) -> None:
        """Raises `precondition` for what would undo the change, or keep it from being made."""
        self._cluster = cluster
        self._releases = releases
        self._serving = serving
        self._goal = goal
        self._agent = agent
        self._now = now
        self.seen = list(seen)
        self._workload = cluster.workloads.find()
        self._autoscaler: Autoscaler | None = None
        self._bounds: Bounds | None = None
        self._change = Change()
        if self._workload is not None:
            self._autoscaler = find_autoscaler(cluster.client, self._workload)
            self._bounds = self._bounds_wanted(self._autoscaler)
            self._change = self._decide(self._workload)
            self._require_ours(self._workload)

    # --- what a plan tells --------------------------------------------------------------------

    @property
    def changes(self) -> bool:
        return self._workload is None or bool(self._change.operations or self._bounds)

    def foretold(self) -> list[str]:
        if self._workload is None:
            options = self._cluster.options
            return [
                f"Would start {self._goal.intent.replicas} replicas, once there is "
                f"{options.kind} {options.workload}"
            ]
        told = [f"Would {would}" for would, _did in self._change.actions]
        if self._bounds is not None and self._autoscaler is not None:
            told.append("Would set " + _bounds_text(self._autoscaler, self._bounds))
        return told

    def shown(self, replicas: Sequence[Replica]) -> dict[str, int]:
        return dict(Counter(f"{r.status} {r.release}" for r in replicas if r.is_alive))

    def expected(self) -> dict[str, int]:
        if self._goal.specification is None:
            return {}
        if not self.changes:
            return self.shown(self.seen)
        count = self._change.replicas if self._workload else self._goal.intent.replicas
        image = self._goal.specification.release
        if self._goal.canary and self._workload is not None:
            there = self.shown(self.seen)
            return {**there, f"ready {image}": there.get(f"ready {image}", 0) + 1}
        return {f"ready {image}": count}

    # --- deciding -----------------------------------------------------------------------------

    def _decide(self, workload: Workload) -> Change:
        """What this reading of the workload lacks."""
        goal = self._goal
        if goal.specification is None:
            return self._decide_stop(workload)
        template = self._template(workload, goal.specification)
        image = goal.specification.release
        is_new_template = template != workload.template
        has_news = is_new_template or workload.is_held
        if goal.canary and (not has_news or sum(each.is_alive for each in self.seen) < 2):
            return Change(replicas=workload.replicas, image=image)
        operations: list[Document] = []
        actions: list[tuple[str, str]] = []
        if is_new_template:
            operations.append({"op": "replace", "path": "/spec/template", "value": template})
            actions.append(self._template_action(workload, image, template))
        if workload.is_held:
            change = f"what deploy.yml changed in the manifest of {workload.title}"
            actions.append(_both("roll out", "Rolled out", change))
        if goal.canary:
            operations += [*brake_on(workload), *hold_off(workload)]
            return Change(operations, actions, workload.replicas, image, True)
        replicas = self._replicas(workload)
        if replicas != workload.replicas:
            operations.append({"op": "add", "path": "/spec/replicas", "value": replicas})
            actions.append(_scale_action(workload, replicas))
        if workload.brake is not None:
            operations += brake_off(workload)
            actions.append(_both("release", "Released", "the brake of the canary"))
        operations += hold_off(workload)
        if operations and workload.is_paused and self._cluster.options.force:
            operations.append({"op": "remove", "path": "/spec/paused"})
            actions.append(_both("resume", "Resumed", f"{workload.title}, which was paused"))
        is_replacing = workload.replicas > 0 and (has_news or workload.brake is not None)
        return Change(operations, actions, replicas, image, is_replacing)

    def _decide_stop(self, workload: Workload) -> Change:
        operations: list[Document] = []
        actions: list[tuple[str, str]] = []
        if workload.replicas:
            operations.append({"op": "add", "path": "/spec/replicas", "value": 0})
            actions.append(_scale_action(workload, 0))
            operations += [*brake_off(workload), *hold_off(workload)]
        return Change(operations, actions, 0)

    def _template(self, workload: Workload, specification: Specification) -> Document:
        """The template of the goal, on the one that a rollback brings back, else the present.

        One that is brought back keeps its limits: the inventory's may be what failed.
        """
        named = self._cluster.options.container
        brought_back = template_to_bring_back(self._cluster, self._releases, workload)
        base = brought_back or workload.template
        environments = self._cluster.environments
        stopped = workload.replicas == 0
        restarted_at = datetime.fromtimestamp(self._now, timezone.utc).strftime(
            "%Y-%m-%dT%H:%M:%SZ"
        )
        return wanted_template(
            base,
            str(agent_container(base, self._agent, named)["name"]),
            specification.release,
            environments.source(self._goal.environment),
            environments.is_ours,
            None if brought_back else self._serving,
            restarted_at if self._goal.replace_all and not stopped else None,
        )

    def _template_action(
        self, workload: Workload, image: str, template: Document
    ) -> tuple[str, str]:
        named = self._cluster.options.container
        before = agent_container(workload.template, self._agent, named)
        after = agent_container(template, self._agent, named)
        if before["image"] != image:
            change = f"the image of {workload.title} from {before['image']} to {image}"
            return _both("set", "Set", change)
        parts = []
        if before.get("envFrom") != after.get("envFrom") or before.get("env") != after.get("env"):
            parts.append("environment")
        if before.get("resources") != after.get("resources"):
            parts.append("limits")
        if parts:
            return _both("set", "Set", f"the {' and '.join(parts)} of {workload.title}")
        if self._goal.replace_all:
            return _both("ask", "Asked", f"{workload.title} for a rolling restart")
        return _both("bring back", "Brought back", f"an earlier template of {workload.title}")

    def _replicas(self, workload: Workload) -> int:
        """The count to ask for; where an autoscaler runs the workload, only what it would too."""
        count = self._goal.intent.replicas
        if self._autoscaler is None:
            return count
        bounds = self._bounds
        least = bounds.min_replicas if bounds else self._autoscaler.min_replicas
        most = bounds.max_replicas if bounds else self._autoscaler.max_replicas
        if workload.replicas == 0:  # switches an autoscaler off, until there is one again
            return min(max(count, least), most)
        return min(max(workload.replicas, least), most)

    def _bounds_wanted(self, autoscaler: Autoscaler | None) -> Bounds | None:
        goal, options = self._goal, self._cluster.options
        if autoscaler is None or goal.specification is None or goal.canary:
            return None
        before = goal.intent_before
        count = goal.intent.replicas
        is_new = count != before.replicas if before else count != DEFAULT_REPLICAS
        return bounds_for(autoscaler, count, is_new, options.adjust_autoscaler, options.force)

    def _require_ours(self, workload: Workload) -> None:
        """Raise `precondition` where something else would undo the change, or hold it up."""
        if not self._change.operations or self._cluster.options.force:
            return
        wanted = f"change {workload.title}"
        owner = owner_of(workload.document)
        if owner is not None:
            raise OperationError(
                Reason.PRECONDITION,
                wanted,
                f"{owner.name} owns it, and would put it back",
                f"Change it in {owner.place}, or give kubernetes.force",
            )
        if workload.is_paused:
            raise OperationError(
                Reason.PRECONDITION,
                wanted,
                "its rollout is paused",
                f"Resume it with kubectl rollout resume, when whoever paused it is done "
                f"({manager_of(workload.document, ('spec', 'paused'))}), or give kubernetes.force",
            )
        if self._autoscaler is None or self._change.replicas == workload.replicas:
            return
        keda = owner_of(self._autoscaler.document)
        if keda is not None and self._goal.specification is None:
            raise OperationError(
                Reason.PRECONDITION,
                f"stop {workload.title}",
                f"{keda.name} owns its autoscaler, and may start it again",
                f"Pause it in {keda.place} first, or give kubernetes.force",
            )

    # --- doing --------------------------------------------------------------------------------

    def carry_out(
        self, limits: Limits, deadline: Deadline, context: Context, report: Report
    ) -> None:
        with self._cluster.client.within(deadline):
            workload = self._workload or self._cluster.workloads.read(f"start {self._agent}")
            if self._goal.specification is not None and self._change.operations:
                self._cluster.environments.write(self._goal.environment)
            if self._bounds is not None and self._autoscaler is not None:
                self._set_bounds(self._autoscaler, self._bounds, report)
            if self._change.operations:
                self._begin(workload)
                workload = self._apply(workload, deadline, context)
                report.actions += [did for _would, did in self._change.actions]
            self._wait(limits, deadline, context, report)
            if self._goal.specification is not None and not self._goal.canary:
                self._releases.settle(fingerprint(workload.template))

    def _begin(self, workload: Workload) -> None:
        """Put on record which template comes, so that a rollback knows of one that fails."""
        values = {each["path"]: each.get("value") for each in self._change.operations}
        template = values.get("/spec/template") or (workload.template if workload.is_held else None)
        if template is not None:
            self._releases.begin(fingerprint(template))

    def _apply(self, workload: Workload, deadline: Deadline, context: Context) -> Workload:
        """Change exactly what was decided on; another writer's change is decided on anew.

        Raises `precondition`, naming the field and its manager, where that change is another
        than what we decided on.
        """
        first = workload
        wanted = f"change {workload.title}"
        while True:
            if not self._change.operations:
                return workload
            try:
                return self._cluster.workloads.change(workload, self._change.operations, wanted)
            except Conflict:
                if deadline.expired:
                    raise
                workload = self._cluster.workloads.read(wanted)
                self._require_same(first, workload, self._change.operations)
                self._change = self._decide(workload)
                self._require_ours(workload)

    def _require_same(self, before: Workload, after: Workload, ours: Sequence[Document]) -> None:
        """What another changed to just what we want is no conflict; nor is our own lost answer."""
        wanted = {each["path"]: each.get("value") for each in ours}
        for path in changed_fields(before.document, after.document):
            if path == ("spec", "replicas") and self._autoscaler is not None:
                continue  # the autoscaler's own, decided on anew
            field_path = f"/spec/{path[1]}"
            if field_path in wanted and after.spec.get(path[1]) == wanted[field_path]:
                continue
            seen: Any = after.document
            for key in path:
                seen = seen.get(key) if isinstance(seen, dict) else None
            raise OperationError(
                Reason.PRECONDITION,
                f"change {after.title}",
                f"{manager_of(after.document, path)} changed {field_text(path)} to "
                f"{shortened(seen)} meanwhile",
                "See who else changes it; run this again to decide on what it is now",
                state={"field": field_text(path), "manager": manager_of(after.document, path)},
            )

    def _set_bounds(self, autoscaler: Autoscaler, bounds: Bounds, report: Report) -> None:
        client, namespace = self._cluster.client, self._cluster.options.namespace
        wanted = f"set the bounds of HorizontalPodAutoscaler {autoscaler.name}"
        path = AUTOSCALERS.path(namespace, autoscaler.name)
        while True:
            try:
                client.patch(path, bounds.body(autoscaler), wanted)
                break
            except Conflict:  # its controller writes its status all the time
                fresh = Autoscaler(client.get(path, wanted))
                if fresh.document["spec"] != autoscaler.document["spec"]:
                    manager = manager_of(fresh.document, ("spec", "minReplicas"))
                    raise OperationError(
                        Reason.PRECONDITION,
                        wanted,
                        f"{manager} changed it meanwhile",
                        "Run this again to decide on what it is now",
                    ) from None
                autoscaler = fresh
        report.actions.append("Set " + _bounds_text(autoscaler, bounds))

    def _wait(self, limits: Limits, deadline: Deadline, context: Context, report: Report) -> None:
        specification = self._goal.specification
        expectation = Expectation(
            image=specification.release if specification else None,
            digest=self._releases.digest_of(specification.release) if specification else "",
            is_canary=self._goal.canary,
            is_replacing=self._change.is_replacing,
            is_touched=self.changes,
        )
        wait = RolloutWait(self._cluster, self._agent, expectation, limits, deadline, context)
        wait.until_it_holds(report)


def template_to_bring_back(
    cluster: Cluster, releases: KubernetesReleaseStore, workload: Workload
) -> Document | None:
    """The template that a rollback asked for; None where none did.

    One that the cluster no longer keeps is let go: then the image alone goes back.
    """
    wanted = releases.to_restore()
    if wanted is None:
        return None
    if fingerprint(workload.template) == wanted:
        return workload.template
    for revision in list_revisions(cluster.client, workload):
        if revision.fingerprint == wanted:
            return revision.template
    return None


def _both(would: str, did: str, what: str) -> tuple[str, str]:
    return f"{would} {what}", f"{did} {what}"


def _scale_action(workload: Workload, replicas: int) -> tuple[str, str]:
    if workload.replicas == 0:
        noun = "replica" if replicas == 1 else "replicas"
        return _both("start", "Started", f"{replicas} {noun} of {workload.title}")
    change = f"{workload.title} from {workload.replicas} to {replicas}"
    return _both("scale", "Scaled", change)


def _bounds_text(autoscaler: Autoscaler, bounds: Bounds) -> str:
    return (
        f"the bounds of HorizontalPodAutoscaler {autoscaler.name} from "
        f"{autoscaler.min_replicas}-{autoscaler.max_replicas} to "
        f"{bounds.min_replicas}-{bounds.max_replicas}"
    )

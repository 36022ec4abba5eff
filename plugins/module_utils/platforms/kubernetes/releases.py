# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The releases of an agent on Kubernetes: images on record, and the templates they ran in."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...core.clock import Clock
from ...core.context import Context
from ...core.deadline import Deadline
from ...core.errors import OperationError, Reason
from ..agent_options import Agent
from ..images.reference import ImageReference, check_reference
from ..images.releases import ImageRelease, ImageReleases
from ..releases import Release, with_setup
from .cluster import Cluster
from .pods import container_of, image_id, list_pods, template_hash
from .revisions import Revision, current_revision, list_revisions, numbered
from .template import agent_container, fingerprint, image_of
from .templates import TemplateRecords

_REVISION = re.compile(r"[0-9]{1,9}\Z")


@dataclass(frozen=True)
class _ImageInstallation:
    """An image is installed by putting it on record; the nodes pull it when pods need it."""

    release: ImageRelease
    images: ImageReleases

    @property
    def digest(self) -> str:
        return self.release.digest

    @property
    def origin(self) -> str:
        return "its registry, which the nodes pull it from"

    def carry_out(self, deadline: Deadline, context: Context) -> str:
        self.images.add(replace(self.release, installed_at=context.clock.now()))
        return ""


class KubernetesReleaseStore:
    """A release is an image; what it ran in is a revision of the workload's template."""

    def __init__(self, agent: Agent, cluster: Cluster, clock: Clock) -> None:
        self._agent = agent
        self._cluster = cluster
        self._clock = clock
        self._images = ImageReleases(agent.store, agent.name)
        self._templates = TemplateRecords(agent.store, agent.name)

    def check_id(self, release_id: str) -> None:
        if not _REVISION.match(release_id):  # a revision's number, to roll back to
            check_reference(release_id)

    def current(self) -> Release | None:
        """The current release; it is good only in the template that it proved good in."""
        found = self._images.current()
        if found is None:
            return None
        templates = self._templates.read()
        now = templates.restore or templates.applied or ""
        good = templates.good.get(found.id, "")
        if good and good == now and templates.restore is None:
            workload = self._cluster.workloads.find()
            if workload is not None and workload.is_held:  # then another is about to come
                now = fingerprint(workload.template)
        return with_setup(replace(found, setup=good), now)

    def releases(self) -> Sequence[Release]:
        templates = self._templates.read()
        return [
            replace(each, setup=templates.good.get(each.id, "")) for each in self._images.releases()
        ]

    def named(self, to: str) -> Release | None:
        """By the image, or by a revision's number as `kubectl rollout history` lists them.

        An image that never proved good comes back in the template that it ran in last.
        """
        records = {each.id: each for each in self.releases()}
        if to in records and records[to].setup:
            return records[to]
        revisions = self._revisions()
        if _REVISION.match(to):
            revision = numbered(revisions, int(to))
        else:
            revision = next((each for each in revisions if self._image(each) == to), None)
        if revision is None:
            return records.get(to)
        image = self._image(revision)
        record = records.get(image) or self._on_record(image, revision.created_at)
        return replace(record, setup=revision.fingerprint)

    def _revisions(self) -> list[Revision]:
        workload = self._cluster.workloads.find()
        return [] if workload is None else list_revisions(self._cluster.client, workload)

    def _image(self, revision: Revision) -> str:
        return image_of(revision.template, self._agent.name, self._cluster.options.container)

    def in_use(self) -> set[str]:
        workload = self._cluster.workloads.find()
        if workload is None:
            return set()
        name = self._container_name(workload.template)
        pods = list_pods(self._cluster.client, workload)
        images = {str(container_of(pod, name).get("image", "")) for pod in pods}
        return {image for image in images if image}

    def remnants(self) -> list[str]:
        return []  # a record is written whole or not at all

    @contextlib.contextmanager
    def prepare(
        self, release_id: str, params: dict[str, Any], installed: Release | None
    ) -> Iterator[_ImageInstallation | None]:
        reference = check_reference(release_id)
        if params.get("source"):
            raise OperationError(
                Reason.INVALID_INPUT,
                f"install release {release_id}",
                "a source is given, and on Kubernetes a release is an image",
                "Leave source out; build the image and push it to its registry",
            )
        if installed is not None:
            yield None
            return
        release = ImageRelease(release_id, reference.digest or "", 0.0)
        yield _ImageInstallation(release, self._images)

    def switch(self, release_id: str, setup: str = "") -> None:
        if release_id not in {each.id for each in self._images.releases()}:
            self._images.add(self._on_record(release_id, self._clock.now()))
        # Before the release is current: a run that is killed between the two restores nothing
        # that the current release did not ask for, since the next rollback says both again.
        self._templates.restore(setup or None)
        self._images.switch(release_id)

    def remove(self, names: Sequence[str]) -> list[str]:
        return self._images.remove(names)

    def mark_good(self, release: Release, at: float) -> None:
        """Record it with what its pods run, and forget environments that no revision needs."""
        workload = self._cluster.workloads.read(f"record release {release.id} as good")
        revisions = list_revisions(self._cluster.client, workload)
        revision = current_revision(workload, revisions)
        name = self._container_name(workload.template)
        digests = {
            image_id(pod, name)
            for pod in list_pods(self._cluster.client, workload)
            if revision is not None and template_hash(pod) == revision.hash
        } - {""}
        known = next((each for each in self._images.releases() if each.id == release.id), None)
        if known is not None and not known.digest and len(digests) == 1:
            known = replace(known, digest=digests.pop())
            self._images.add(known)
        self._images.mark_good(known or release, at)
        self._templates.mark_good(release.id, {each.id for each in self._images.releases()})
        needed = self._cluster.environments.referenced(workload.template)
        for each in revisions:
            needed |= self._cluster.environments.referenced(each.template)
        self._cluster.environments.remove_all_but(needed)

    def forget_good(self, release_id: str) -> None:
        self._images.forget_good(release_id)
        self._templates.forget_good(release_id)

    # --- what the driver asks -----------------------------------------------------------------

    def to_restore(self) -> str | None:
        """The fingerprint of the template that is to be brought back."""
        return self._templates.read().restore

    def begin(self, applied: str) -> None:
        """Record what is about to be rolled out."""
        self._templates.begin(applied)

    def settle(self, applied: str) -> None:
        """Record what is rolled out now."""
        self._templates.settle(applied)

    def digest_of(self, release_id: str) -> str:
        """The digest on record, else the one in the reference; empty where none is known."""
        for each in self._images.releases():
            if each.id == release_id and each.digest:
                return each.digest
        return ImageReference.parse(release_id).digest or ""

    def _container_name(self, template: dict[str, Any]) -> str:
        named = self._cluster.options.container
        return str(agent_container(template, self._agent.name, named)["name"])

    def _on_record(self, image: str, at: float) -> ImageRelease:
        """An image that ran here and was never deployed by this collection."""
        return ImageRelease(image, ImageReference.parse(image).digest or "", at)

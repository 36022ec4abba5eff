# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The releases of an agent on docker: images of the engine, with records in the state store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...core.context import Context
from ...core.deadline import Deadline
from ...core.errors import OperationError, Reason, invalid_option
from ..agent_options import Agent
from ..images.reference import ImageReference, check_reference, require_same_digest
from ..images.releases import ImageRelease, ImageReleases
from ..releases import Installation, Release
from .engine import Engine
from .environments import Environments
from .image import Image, names_to_try
from .labels import specification_of
from .options import DockerOptions
from .pull import pull, registry_errors
from .replicas import Replicas

ALWAYS, NEVER = "always", "never"
# For an image that was removed from the engine behind the back of its record.
_PULL_WITHIN_S = 300.0


@dataclass(frozen=True)
class _Present:
    """The image is there; it is only to be put on record."""

    store: ImageStore
    reference: ImageReference
    image: Image
    origin: str = "the engine's own images"

    @property
    def digest(self) -> str:
        return self.image.digest_in(self.reference.repository)

    def carry_out(self, deadline: Deadline, context: Context) -> str:
        self.store.record(self.reference, self.image, context.clock.now())
        return ""


@dataclass(frozen=True)
class _Pulled:
    """The image is to be pulled, and then to be what its registry said it is."""

    store: ImageStore
    reference: ImageReference
    digest: str

    @property
    def origin(self) -> str:
        return self.reference.repository

    def carry_out(self, deadline: Deadline, context: Context) -> str:
        begun = context.clock.monotonic()
        image = self.store.pull(self.reference, self.digest, deadline, context)
        self.store.record(self.reference, image, context.clock.now())
        return f"pulled in {context.clock.monotonic() - begun:.1f} s"


class ImageStore:
    """Records of images, and the images themselves on the engine. Removing forgets a record."""

    def __init__(
        self, agent: Agent, options: DockerOptions, engine: Engine, replicas: Replicas
    ) -> None:
        self._options = options
        self._engine = engine
        self._replicas = replicas
        self._records = ImageReleases(agent.store, agent.name)
        self.environments = Environments(agent, engine, replicas, self._records)

    def check_id(self, release_id: str) -> None:
        check_reference(release_id)

    def current(self) -> ImageRelease | None:
        return self._records.current()

    def releases(self) -> Sequence[ImageRelease]:
        return self._records.releases()

    def named(self, to: str) -> ImageRelease | None:
        return next((each for each in self._records.releases() if each.id == to), None)

    def in_use(self) -> set[str]:
        ours = self._replicas.ours().values()
        return {specification_of(each.labels).release for each in ours}

    def remnants(self) -> list[str]:
        return []

    @contextlib.contextmanager
    def prepare(
        self, release_id: str, params: dict[str, Any], installed: Release | None
    ) -> Iterator[Installation | None]:
        if params.get("source") is not None:
            raise invalid_option(
                "source",
                "platform docker runs images, not a source folder",
                "Build an image of it, and give that as the release",
            )
        reference = check_reference(release_id)
        recorded = next((each for each in self._records.releases() if each == installed), None)
        yield self._recorded(reference, recorded) if recorded else self._new(reference)

    def _recorded(self, reference: ImageReference, release: ImageRelease) -> Installation | None:
        """What it takes to have a recorded release here: nothing, or to pull it by its digest."""
        named = self._engine.image(str(reference))
        if named is not None and not named.is_release(release):
            require_same_digest(release.id, release.digest, named.digest_in(reference.repository))
        if self._options.pull == ALWAYS and release.digest != release.image_id:
            require_same_digest(release.id, release.digest, self._registry_digest(reference))
        if self.found(release) is not None:
            return None
        self._require_pullable(release)
        return _Pulled(self, reference, release.digest)

    def _new(self, reference: ImageReference) -> Installation:
        here = self._engine.image(str(reference))
        if self._options.pull != ALWAYS and here is not None:
            return _Present(self, reference, here)
        if self._options.pull == NEVER:
            raise OperationError(
                Reason.PRECONDITION,
                f"install release {reference}",
                "the engine has no such image, and docker.pull is never",
                "Load or build the image on the engine, or let it be pulled",
            )
        return _Pulled(self, reference, self._registry_digest(reference))

    def _registry_digest(self, reference: ImageReference) -> str:
        with registry_errors(f"find {reference} in its registry"):
            return self._engine.registry_digest(str(reference))

    def pull(
        self, reference: ImageReference, digest: str, deadline: Deadline, context: Context
    ) -> Image:
        """The image of this digest, under its tag where that still names it."""
        tag = reference.tag
        # A tag that moved meanwhile is not what was prepared: the digest is pulled instead.
        if tag and not reference.digest and self._registry_digest(reference) == digest:
            pull(self._engine, reference.repository, tag, deadline, context)
        image = self._engine.image(reference.pinned(digest))
        if image is None:
            pull(self._engine, reference.repository, digest, deadline, context)
            image = self._engine.image(reference.pinned(digest))
        if image is None:
            raise OperationError(
                Reason.INTEGRITY,
                f"pull {reference.pinned(digest)}",
                "the engine pulled it, and has no image of that digest",
                "Run it again; if it stays so, ask docker image inspect about the repository",
            )
        return image

    def record(self, reference: ImageReference, image: Image, at: float) -> None:
        """Put an image on record as the release of this name."""
        digest = image.digest_in(reference.repository)
        self._records.add(ImageRelease(str(reference), digest, at, image_id=image.id))

    def switch(self, release_id: str, setup: str = "") -> None:
        if setup and not self.environments.has(setup):
            current = self.current()
            if current is not None and current.id == release_id:
                raise OperationError(
                    Reason.PRECONDITION,
                    f"bring back what {release_id} ran with",
                    "the engine has no container any more that keeps its environment",
                    "Give environment and environment_secrets again, with start.yml",
                )
            setup = ""
        self._records.switch(release_id, setup)

    def remove(self, names: Sequence[str]) -> list[str]:
        return self._records.remove(names)

    def mark_good(self, release: Release, at: float) -> None:
        known = self.named(release.id)
        if known is None:
            raise ValueError(f"{release.id} is not on record")
        setup = self.environments.keep(known, self.image_of(known))
        self._records.want(setup)
        self._records.mark_good(replace(known, setup=setup), at)

    def forget_good(self, release_id: str) -> None:
        self._records.forget_good(release_id)

    # --- what containers are made from --------------------------------------------------------

    def found(self, release: ImageRelease) -> str | None:
        """A name by which the engine has the contents that were recorded, or None."""
        for name in names_to_try(release):
            image = self._engine.image(name)
            if image is not None and image.is_release(release):
                return name
        return None

    def require_startable(self) -> None:
        """Raise `precondition` where the current release's image is gone for good."""
        current = self.current()
        if current is not None and self.found(current) is None:
            self._require_pullable(current)

    def image_of(self, release: ImageRelease) -> str:
        """What to create a container from: the recorded contents, whatever the tag names now."""
        name = self.found(release)
        if name is not None:
            return name
        self._require_pullable(release)
        reference = ImageReference.parse(release.id)
        deadline = Deadline(self._engine.clock, _PULL_WITHIN_S)
        pull(self._engine, reference.repository, release.digest, deadline, Context())
        return reference.pinned(release.digest)

    def _require_pullable(self, release: ImageRelease) -> None:
        if self._options.pull != NEVER and release.digest != release.image_id:
            return
        raise OperationError(
            Reason.PRECONDITION,
            f"run release {release.id}",
            f"its image {release.image_id} is gone from the engine, and "
            + (
                "docker.pull is never"
                if self._options.pull == NEVER
                else "it never came from a registry"
            ),
            "Load the image again, or deploy another release",
        )

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The releases of an agent that are images: records in the state store.

A record says which contents an image's name stood for when it was deployed. The images
themselves stay where the engine or the registry keeps them: forgetting a record deletes none.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Callable

from ...core.errors import OperationError, Reason
from ...core.state_store import ABSENT, Entry, StateStore, VersionConflict
from ..good_marks import GoodMarks
from ..releases import Release, with_setup


@dataclass(frozen=True)
class ImageRelease(Release):
    """A release that is an image.

    `id` is its reference, `digest` the `sha256:...` that its registry knows it by, or the
    engine's own id of it where it came from no registry. `image_id` is the engine's id, empty
    where no engine told one.
    """

    image_id: str = ""


@dataclass(frozen=True)
class _Records:
    """What is stored: the current release's id and setup, and the releases by id."""

    current: str | None = None
    setup: str = ""
    releases: dict[str, ImageRelease] = field(default_factory=dict)

    def as_json(self) -> bytes:
        stored = {
            key: {
                "digest": each.digest,
                "image_id": each.image_id,
                "installed_at": each.installed_at,
            }
            for key, each in self.releases.items()
        }
        document = {"current": self.current, "setup": self.setup, "releases": stored}
        return json.dumps(document).encode()

    @classmethod
    def of_json(cls, data: bytes) -> _Records:
        """Raises KeyError, TypeError, ValueError or AttributeError for anything else."""
        stored: dict[str, Any] = json.loads(data)
        releases = {
            key: ImageRelease(
                id=key,
                digest=str(each["digest"]),
                installed_at=float(each["installed_at"]),
                image_id=str(each["image_id"]),
            )
            for key, each in stored["releases"].items()
        }
        return cls(stored["current"], str(stored.get("setup", "")), releases)


class ImageReleases:
    """The records of one agent under `image-releases/<name>`; two writers never lose any.

    Every method raises `precondition` where the records are not to be read or written.
    """

    def __init__(self, store: StateStore, name: str) -> None:
        self._store = store
        self._key = f"image-releases/{name}"
        self._marks = GoodMarks(store, f"image-marks/{name}")

    def current(self) -> ImageRelease | None:
        """The release that replicas are started from; None also when its record is gone."""
        records = self._read()[0]
        marked = self._marked(records)
        found = next((each for each in marked if each.id == records.current), None)
        return with_setup(found, records.setup) if found else None

    def releases(self) -> list[ImageRelease]:
        """The releases on record, installed last first."""
        return self._marked(self._read()[0])

    def _marked(self, records: _Records) -> list[ImageRelease]:
        """These, each with when it proved good."""
        marks = self._marks.all()
        found = []
        for each in records.releases.values():
            mark = marks.get(each.id)
            if mark is not None and mark.digest == each.digest:
                each = replace(each, good_at=mark.at, setup=mark.setup)
            found.append(each)
        return sorted(found, key=lambda each: each.installed_at, reverse=True)

    def add(self, release: ImageRelease) -> None:
        """Record a release, in place of one of the same id; which is current stays."""
        self._change(lambda records: replace(records, releases=_with(records, release)))

    def setup(self) -> str:
        """The setup that replicas are to have; empty where none was put on record."""
        return self._read()[0].setup

    def want(self, setup: str) -> None:
        """Put on record which setup replicas are to have."""
        self._change(lambda records: replace(records, setup=setup))

    def switch(self, release_id: str, setup: str = "") -> None:
        """Make a release on record current, with this setup; without one the present stays."""
        self._change(
            lambda records: replace(records, current=release_id, setup=setup or records.setup)
        )

    def remove(self, release_ids: Sequence[str]) -> list[str]:
        """Forget these; no image is deleted. What could not be removed is nothing, as protocol."""
        self._change(
            lambda records: replace(
                records,
                releases={k: v for k, v in records.releases.items() if k not in release_ids},
            )
        )
        return []

    def mark_good(self, release: Release, at: float) -> None:
        """Record that the release proved healthy; marks of forgotten releases are dropped."""
        self._marks.set(release, at, set(self._read()[0].releases))

    def forget_good(self, release_id: str) -> None:
        """Drop the release's mark, if it has one: it must prove itself again."""
        self._marks.drop(release_id)

    def _change(self, change: Callable[[_Records], _Records]) -> None:
        while True:
            records, entry = self._read()
            changed = change(records)
            if changed == records:
                return
            with contextlib.suppress(VersionConflict):
                expect = entry.version if entry else ABSENT
                self._store.write(self._key, changed.as_json(), expect=expect)
                return

    def _read(self) -> tuple[_Records, Entry | None]:
        entry = self._store.read(self._key)
        if entry is None:
            return _Records(), None
        try:
            return _Records.of_json(entry.data), entry
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise OperationError(
                Reason.PRECONDITION,
                "read which releases there are",
                f"the entry {self._key} of the state store is not one of this collection",
                "Remove it, and deploy the release again",
            ) from error


def _with(records: _Records, release: ImageRelease) -> dict[str, ImageRelease]:
    return {**records.releases, release.id: replace(release, good_at=None, setup="")}

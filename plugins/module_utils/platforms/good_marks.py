# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which releases proved healthy, kept in the state store, whatever the platform."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Callable

from ..core.state_store import ABSENT, Entry, StateStore, VersionConflict
from .releases import Release


@dataclass(frozen=True)
class Mark:
    """That the release of this digest proved healthy at this time, with this setup."""

    digest: str
    at: float
    setup: str = ""


Marks = dict[str, Mark]


class GoodMarks:
    """The marks under one key of the store; two writers never lose each other's."""

    def __init__(self, store: StateStore, key: str) -> None:
        self._store = store
        self._key = key

    def all(self) -> Marks:
        """The marks by release id."""
        return self._read()[0]

    def set(self, release: Release, at: float, there: Collection[str]) -> None:
        """Mark the release; marks of releases that are not `there` any more are dropped."""

        def marked(marks: Marks) -> Marks:
            kept = {key: mark for key, mark in marks.items() if key in there}
            return {**kept, release.id: Mark(release.digest, at, release.setup)}

        self._change(marked)

    def drop(self, release_id: str) -> None:
        """Drop the release's mark, if it has one."""
        if release_id in self.all():
            self._change(lambda marks: {k: v for k, v in marks.items() if k != release_id})

    def _change(self, change: Callable[[Marks], Marks]) -> None:
        while True:
            marks, entry = self._read()
            changed = {release_id: asdict(mark) for release_id, mark in change(marks).items()}
            data = json.dumps(changed).encode()
            with contextlib.suppress(VersionConflict):
                self._store.write(self._key, data, expect=entry.version if entry else ABSENT)
                return

    def _read(self) -> tuple[Marks, Entry | None]:
        entry = self._store.read(self._key)
        if entry is None:
            return {}, None
        try:
            marks = {key: Mark(**mark) for key, mark in json.loads(entry.data).items()}
        except (ValueError, TypeError, AttributeError):  # not written by this code: none is good
            marks = {}
        return marks, entry

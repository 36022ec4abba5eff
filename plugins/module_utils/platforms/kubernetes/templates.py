# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which template each release proved good with, and which one a rollback is to bring back."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, field, replace
from typing import Callable

from ...core.state_store import ABSENT, Entry, StateStore, VersionConflict


@dataclass(frozen=True)
class Templates:
    """Fingerprints of templates.

    `good` by release id; `applied` is what `agent` rolled out last, or tried to; `restore` is what
    its next run brings back before anything else is changed, None when there is nothing to bring
    back.
    """

    good: dict[str, str] = field(default_factory=dict)
    applied: str | None = None
    restore: str | None = None


class TemplateRecords:
    """The record of one agent under `templates/<name>`; two writers never lose each other's."""

    def __init__(self, store: StateStore, name: str) -> None:
        self._store = store
        self._key = f"templates/{name}"

    def read(self) -> Templates:
        return self._read()[0]

    def mark_good(self, release_id: str, there: Collection[str]) -> None:
        """The release proved good with what was applied last; others that are gone are dropped."""

        def marked(templates: Templates) -> Templates:
            kept = {key: each for key, each in templates.good.items() if key in there}
            if templates.applied is not None:
                kept[release_id] = templates.applied
            return replace(templates, good=kept)

        self._change(marked)

    def forget_good(self, release_id: str) -> None:
        self._change(
            lambda templates: replace(
                templates, good={k: v for k, v in templates.good.items() if k != release_id}
            )
        )

    def restore(self, template: str | None) -> None:
        """Have the next run bring this template back, or none."""
        self._change(lambda templates: replace(templates, restore=template))

    def begin(self, applied: str) -> None:
        """This is about to be rolled out: what was proved before says nothing of it."""
        self._change(lambda templates: replace(templates, applied=applied))

    def settle(self, applied: str) -> None:
        """What was to be brought back is, and this is rolled out now."""
        self._change(lambda templates: replace(templates, applied=applied, restore=None))

    def _change(self, change: Callable[[Templates], Templates]) -> None:
        while True:
            before, entry = self._read()
            after = change(before)
            if after == before:
                return
            with contextlib.suppress(VersionConflict):
                expect = entry.version if entry else ABSENT
                self._store.write(self._key, json.dumps(asdict(after)).encode(), expect=expect)
                return

    def _read(self) -> tuple[Templates, Entry | None]:
        entry = self._store.read(self._key)
        if entry is None:
            return Templates(), None
        try:
            return Templates(**json.loads(entry.data)), entry
        except (ValueError, TypeError):  # not written by this code: nothing proved good
            return Templates(), entry

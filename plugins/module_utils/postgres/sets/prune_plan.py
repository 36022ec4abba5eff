# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a prune would do, set by set; making the plan changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Callable

from ...repository import Repository, StoredObject
from .backup_summary import BACKUP, DAMAGED, NEWER, UNFINISHED, BackupSummary
from .layout import Layout
from .retention import Decision, Policy, decide

_THREADS = 16
_KEYS_BETWEEN_LOOKS = 1000


@dataclass(frozen=True)
class PlanEntry:
    """One set's fate; `size` is that of its data objects where it goes, else what is known."""

    backup: BackupSummary
    keep: bool
    reason: str
    size: int

    def as_state(self) -> dict[str, Any]:
        return {
            "id": self.backup.id,
            "kind": self.backup.kind,
            "started_at": self.backup.started_at,
            "size_bytes": self.size,
            "reason": self.reason,
        }


@dataclass(frozen=True)
class PrunePlan:
    """All sets, newest first, and the data objects of those that go."""

    entries: list[PlanEntry]
    objects: list[StoredObject]

    @property
    def kept(self) -> list[PlanEntry]:
        return [each for each in self.entries if each.keep]

    @property
    def removed(self) -> list[PlanEntry]:
        return [each for each in self.entries if not each.keep]

    @property
    def freed_bytes(self) -> int:
        return sum(each.size for each in self.objects)


def plan_prune(
    repository: Repository,
    layout: Layout,
    found: Sequence[BackupSummary],
    policy: Policy,
    unfinished_after_s: float,
    look: Callable[[], None],
) -> PrunePlan:
    """The plan for what `list_backups` found; the guide's own dumps are not in it.

    `look` is called now and then meanwhile. Asks for the protection of those that would go only.
    """
    decisions = _decide(found, policy, unfinished_after_s)
    candidates = {each.backup.id for each in decisions if not each.keep}
    objects = _objects_of(repository, layout, candidates)
    protections = _protections(repository, layout, found, objects, look)
    entries = []
    for each in decisions:
        its_objects = objects.get(each.backup.id, [])
        keep, reason = each.keep, each.reason
        if each.backup.id in protections:
            keep, reason = True, protections[each.backup.id]
            del objects[each.backup.id]
        size = sum(one.size for one in its_objects) if not keep else each.backup.size or 0
        entries.append(PlanEntry(each.backup, keep, reason, size))
    return PrunePlan(entries, [one for group in objects.values() for one in group])


def _decide(
    found: Sequence[BackupSummary], policy: Policy, unfinished_after_s: float
) -> list[Decision]:
    decisions = decide([each for each in found if each.kind == BACKUP], policy)
    for each in found:
        if each.kind == UNFINISHED:
            keep = each.age_s < unfinished_after_s
            reason = "unfinished, not for long" if keep else "unfinished"
            decisions.append(Decision(each, keep, reason))
        elif each.kind in (DAMAGED, NEWER):
            # Some of the first may still be of use, and the second are another version's.
            decisions.append(Decision(each, True, f"{each.kind}: {each.reason}"))
    return sorted(decisions, key=lambda each: each.backup.id, reverse=True)


def _objects_of(
    repository: Repository, layout: Layout, candidates: set[str]
) -> dict[str, list[StoredObject]]:
    """The data objects of these sets, in one listing that ends behind the newest of them."""
    objects: dict[str, list[StoredObject]] = {each: [] for each in candidates}
    if not candidates:
        return objects
    newest = max(candidates)
    for each in repository.list(layout.sets):
        backup_id = each.key[len(layout.sets) :].partition("/")[0]
        if backup_id > newest:
            break
        if backup_id in objects:
            objects[backup_id].append(each)
    return objects


def _protections(
    repository: Repository,
    layout: Layout,
    found: Iterable[BackupSummary],
    objects: dict[str, list[StoredObject]],
    look: Callable[[], None],
) -> dict[str, str]:
    """By id, why the store keeps a set from being removed."""
    manifests = [layout.manifest(each.id) for each in found if each.kind == BACKUP]
    keys = [key for key in manifests if _id_of(layout, key) in objects]
    keys += [each.key for group in objects.values() for each in group]
    protections: dict[str, str] = {}
    with ThreadPoolExecutor(_THREADS) as pool:
        for at in range(0, len(keys), _KEYS_BETWEEN_LOOKS):
            look()
            some = keys[at : at + _KEYS_BETWEEN_LOOKS]
            for key, protection in zip(some, pool.map(repository.protection_of, some)):
                if protection:
                    protections.setdefault(_id_of(layout, key), f"{protection} on {key}")
    return protections


def _id_of(layout: Layout, key: str) -> str:
    """The id of the backup that a manifest or data object belongs to."""
    if key.startswith(layout.manifests):
        return key[len(layout.manifests) :].rpartition(".")[0]
    return key[len(layout.sets) :].partition("/")[0]

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What backups of a database there are, in four requests whatever their number.

The truth is in the manifests and proofs. `catalog.json` is a cache of what they say, under the
version of each; what it lacks is read again, and a damaged one counts as empty.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Callable, TypeVar

from ...core.errors import OperationError, Reason, invalid_option
from ...repository import NoSuchObject, Repository
from .backup_summary import (
    DAMAGED,
    FAILED,
    NEWER,
    UNFINISHED,
    BackupSummary,
    Facts,
    Marks,
    of_backup,
    of_dump,
    of_set,
)
from .catalog_cache import Cached, read_cache, write_cache
from .layout import Layout, is_backup_id
from .manifest import Manifest, parse
from .proofs import read_proof

LATEST = "latest"

_THREADS = 16
_ATTEMPTS = 3
_GUIDES_PREFIX = "backup_2"
_GUIDES_DUMP = re.compile(r"backup_(\d{8})\.sql(\.gz)?\Z")
_T = TypeVar("_T")


@dataclass(frozen=True)
class _Unreadable:
    """A manifest that nothing can be read of: DAMAGED or NEWER, and why."""

    kind: str
    reason: str


def list_backups(repository: Repository, layout: Layout, now: float) -> list[BackupSummary]:
    """Every finished, damaged and unfinished set, and the guide's own dumps; newest first.

    `now` is in seconds since the epoch. Changes nothing.
    """
    manifests = _versions(repository, layout.manifests)
    sets = {name for name in repository.list_folders(layout.sets) if is_backup_id(name)}
    gone: set[str] = set()
    if manifests.keys() != sets:
        # Asked again behind the sets, so that a backup which was finished or removed between the
        # two requests does not look like an unfinished or a damaged one.
        before, manifests = manifests, _versions(repository, layout.manifests)
        gone = (before.keys() & manifests.keys()) - sets
    cached, _version = read_cache(repository, layout)
    entries, unreadable = _complete(repository, layout, manifests, cached)
    unreadable.update({each: _Unreadable(DAMAGED, "its data objects are gone") for each in gone})
    listed = [
        of_backup(each, layout.database, facts, entries.marks(each), now)
        for each, (_its_version, facts) in entries.manifests.items()
        if each not in gone
    ]
    listed += [
        of_set(each, what.kind, layout.database, what.reason, entries.marks(each), now)
        for each, what in unreadable.items()
    ]
    listed += _unfinished(repository, layout, sets - manifests.keys(), now)
    listed += _guides_dumps(repository, now)
    return sorted(listed, key=lambda each: (-each.age_s, each.id), reverse=True)


def update_catalog(repository: Repository, layout: Layout) -> None:
    """Bring the cache up to date, for the lists that follow a change.

    Never fails: a cache that could not be written only costs the next list more requests.
    """
    try:
        for _attempt in range(_ATTEMPTS):
            cached, version = read_cache(repository, layout)
            manifests = _versions(repository, layout.manifests)
            entries, _unreadable = _complete(repository, layout, manifests, cached)
            if entries == cached or write_cache(repository, layout, entries, version):
                return
    except OperationError:
        return


def find_backup(
    repository: Repository, layout: Layout, wanted: str, now: float
) -> tuple[BackupSummary, Manifest]:
    """The backup of this id, or with LATEST the newest finished one.

    The newest one is never passed over: where it is damaged, or verify found it so, that is
    `integrity`, and the message names the newest good one. Raises `precondition` when there is
    no such backup.
    """
    ids = sorted(_versions(repository, layout.manifests)) if wanted == LATEST else [wanted]
    if not ids:
        raise OperationError(
            Reason.PRECONDITION,
            f"find the latest backup of {layout.database}",
            f"{repository.url} has no finished one",
            "Make one with postgres_backup",
        )
    backup_id = ids[-1]
    try:
        manifest = read_manifest(repository, layout, backup_id)
    except OperationError as error:
        if wanted == LATEST and error.reason is Reason.INTEGRITY:
            raise _latest_is_bad(repository, layout, backup_id, error.seen, now) from error
        raise
    marks = Marks.of(read_proof(repository, layout, backup_id))
    if wanted == LATEST and marks.verified == FAILED:
        seen = f"postgres_backup_verify found it damaged at {marks.verified_at}"
        raise _latest_is_bad(repository, layout, backup_id, seen, now)
    return of_backup(backup_id, layout.database, Facts.of(manifest), marks, now), manifest


def read_manifest(repository: Repository, layout: Layout, backup_id: str) -> Manifest:
    """The manifest of a finished backup.

    Raises `invalid_input` for what is no id, `precondition` when there is no such backup or a
    newer collection made it, and `integrity` when the manifest is damaged.
    """
    if not is_backup_id(backup_id):
        raise invalid_option(
            "backup",
            f"{backup_id!r} is no backup's id",
            "Give an id that postgres_backup_info lists, or latest",
        )
    try:
        return _manifest(repository, layout, backup_id)
    except NoSuchObject:
        raise OperationError(
            Reason.PRECONDITION,
            f"find backup {backup_id} of {layout.database}",
            f"{repository.url} has no manifest of it, so it never finished or was removed",
            "Give an id that postgres_backup_info lists, or latest",
        ) from None


def _latest_is_bad(
    repository: Repository, layout: Layout, backup_id: str, seen: str, now: float
) -> OperationError:
    good = next((each.id for each in list_backups(repository, layout, now) if each.is_good), None)
    return OperationError(
        Reason.INTEGRITY,
        f"use the latest backup {backup_id} of {layout.database}",
        seen,
        f"Give {good} to use the newest good one, and make a new backup"
        if good
        else "There is no good one: make a new backup",
    )


def _manifest(repository: Repository, layout: Layout, backup_id: str) -> Manifest:
    return _parsed(repository, layout, backup_id, repository.read(layout.manifest(backup_id)).data)


def _parsed(repository: Repository, layout: Layout, backup_id: str, data: bytes) -> Manifest:
    key = layout.manifest(backup_id)
    manifest = parse(data, f"{repository.url}/{key}")
    if (manifest.id, manifest.database) != (backup_id, layout.database):
        raise OperationError(
            Reason.INTEGRITY,
            f"read the manifest {repository.url}/{key}",
            f"it is that of backup {manifest.id} of {manifest.database}",
            "Move it back to where it belongs, or use another backup",
        )
    return manifest


def _versions(repository: Repository, folder: str) -> dict[str, str]:
    """The ids of the manifests or proofs in a folder, with the version of each."""
    found = {}
    for each in repository.list(folder):
        backup_id, dot, suffix = each.key[len(folder) :].rpartition(".")
        if dot and suffix == "json" and is_backup_id(backup_id):
            found[backup_id] = each.version
    return found


def _complete(
    repository: Repository, layout: Layout, manifests: dict[str, str], cached: Cached
) -> tuple[Cached, dict[str, _Unreadable]]:
    """What the manifests of these versions and today's proofs say; reads what the cache lacks."""
    proofs = _versions(repository, layout.proofs)
    entries = cached.still_true(manifests, proofs)
    lock = threading.Lock()

    def facts(backup_id: str) -> Facts | _Unreadable | None:
        return _facts(repository, layout, backup_id, lock)

    def marks(backup_id: str) -> Marks:
        return Marks.of(read_proof(repository, layout, backup_id))

    unreadable = {}
    for each, said in _gather(manifests.keys() - entries.manifests.keys(), facts):
        if isinstance(said, Facts):
            entries.manifests[each] = (manifests[each], said)
        elif said is not None:
            unreadable[each] = said
    for each, found in _gather(proofs.keys() - entries.proofs.keys(), marks):
        entries.proofs[each] = (proofs[each], found)
    return entries, unreadable


def _gather(ids: Iterable[str], read: Callable[[str], _T]) -> list[tuple[str, _T]]:
    wanted = sorted(ids)
    if not wanted:
        return []
    with ThreadPoolExecutor(min(_THREADS, len(wanted))) as pool:
        return list(zip(wanted, pool.map(read, wanted)))


def _facts(
    repository: Repository, layout: Layout, backup_id: str, lock: threading.Lock
) -> Facts | _Unreadable | None:
    """What a manifest says; None when it has just been removed.

    The manifest of 10,000 tables takes tens of MB once parsed, so the lock admits one at a time.
    """
    try:
        data = repository.read(layout.manifest(backup_id)).data
    except NoSuchObject:
        return None
    except OperationError as error:
        if error.reason is not Reason.INTEGRITY:
            raise
        return _Unreadable(DAMAGED, error.seen)
    with lock:
        try:
            return Facts.of(_parsed(repository, layout, backup_id, data))
        except OperationError as error:
            kind = DAMAGED if error.reason is Reason.INTEGRITY else NEWER
            return _Unreadable(kind, error.seen)


def _unfinished(
    repository: Repository, layout: Layout, ids: Iterable[str], now: float
) -> list[BackupSummary]:
    """The sets without a manifest that have data.

    SeaweedFS lists a folder for a while after its last object was deleted, and moto always does.
    """

    def sizes(backup_id: str) -> list[int]:
        return [each.size for each in repository.list(layout.set(backup_id))]

    return [
        of_set(each, UNFINISHED, layout.database, "it has no manifest", Marks(), now, sum(found))
        for each, found in _gather(ids, sizes)
        if found
    ]


def _guides_dumps(repository: Repository, now: float) -> list[BackupSummary]:
    """What `pg_dump cost_agent > backup_$(date +%Y%m%d).sql` and gzip left at the root."""
    dumps = []
    for each in repository.list(_GUIDES_PREFIX):
        match = _GUIDES_DUMP.match(each.key)
        if match is None:
            continue
        try:
            day = datetime.strptime(match.group(1), "%Y%m%d").replace(tzinfo=timezone.utc)
        except ValueError:
            continue
        dumps.append(of_dump(each, day.timestamp(), now))
    return dumps

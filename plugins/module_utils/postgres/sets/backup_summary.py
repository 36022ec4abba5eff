# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup as a list shows it: what its manifest, its proof and its key say, in a few words."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ...core.readable import utc_text
from ...repository import StoredObject
from .layout import started_at
from .manifest import Manifest
from .proofs import Proof

BACKUP = "backup"
DAMAGED = "damaged"  # its manifest cannot be read, or its data is gone
NEWER = "newer"  # a newer version of this collection made it
UNFINISHED = "unfinished"  # a set without a manifest: being made now, or given up
FOREIGN = "foreign"  # a dump that the guide's own commands made

OK = "ok"
FAILED = "failed"
NEVER = "never"


@dataclass(frozen=True)
class Facts:
    """What a list wants to know of a manifest."""

    finished_at: str
    duration_s: float
    size: int
    raw_size: int
    rows: int
    tables: int
    server_version: int
    encrypted: bool
    excluded: list[str]

    @classmethod
    def of(cls, manifest: Manifest) -> Facts:
        return cls(
            finished_at=manifest.finished_at,
            duration_s=manifest.duration_s,
            size=manifest.size,
            raw_size=manifest.raw_size,
            rows=manifest.rows,
            tables=len(manifest.tables),
            server_version=manifest.server_version,
            encrypted=bool(manifest.recipients),
            excluded=[
                *(f"schema {each}" for each in sorted(manifest.excluded_schemas)),
                *(f"table {each}" for each in sorted(manifest.excluded_tables)),
            ],
        )


@dataclass(frozen=True)
class Marks:
    """What a list wants to know of a proof: OK, FAILED or NEVER, and when."""

    verified: str = NEVER
    verified_at: str | None = None
    drill: str = NEVER
    drilled_at: str | None = None

    @classmethod
    def of(cls, proof: Proof) -> Marks:
        return cls(*_mark(proof.verified), *_mark(proof.drill))


def _mark(record: dict[str, Any] | None) -> tuple[str, str | None]:
    if record is None:
        return NEVER, None
    return (OK if record["ok"] else FAILED), record["at"]


@dataclass(frozen=True)
class BackupSummary:
    """One line of the list; what is not known of its kind is None.

    `kind` is BACKUP, DAMAGED, NEWER, UNFINISHED or FOREIGN. Times are ISO 8601 in UTC; `age_s`
    counts from `started_at`, the moment whose data the backup holds. `size` is stored bytes,
    `raw_size` those of the dump. `excluded` is what was left out of the backup on purpose.
    `reason` says why it is no good where it is none.
    """

    id: str
    kind: str
    database: str | None
    started_at: str
    age_s: float
    finished_at: str | None = None
    duration_s: float | None = None
    size: int | None = None
    raw_size: int | None = None
    rows: int | None = None
    tables: int | None = None
    server_version: int | None = None
    encrypted: bool | None = None
    excluded: list[str] | None = None
    verified: str = NEVER
    verified_at: str | None = None
    drill: str = NEVER
    drilled_at: str | None = None
    reason: str | None = None

    @property
    def is_good(self) -> bool:
        """Finished, readable, and not known to be damaged."""
        return self.kind == BACKUP and self.verified != FAILED

    def as_state(self) -> dict[str, Any]:
        """The summary in a module's result, where sizes have their unit in their name."""
        values = asdict(self)
        values["age_s"] = round(self.age_s, 3)
        values["size_bytes"] = values.pop("size")
        values["raw_size_bytes"] = values.pop("raw_size")
        return values


def of_backup(
    backup_id: str, database: str, facts: Facts, marks: Marks, now: float
) -> BackupSummary:
    """The summary of a finished backup."""
    begun = started_at(backup_id)
    return BackupSummary(
        backup_id,
        BACKUP,
        database,
        utc_text(begun),
        now - begun,
        **asdict(facts),
        **asdict(marks),
    )


def of_set(
    backup_id: str,
    kind: str,
    database: str,
    reason: str,
    marks: Marks,
    now: float,
    size: int | None = None,
) -> BackupSummary:
    """The summary of a set whose manifest is not there or cannot be read."""
    begun = started_at(backup_id)
    return BackupSummary(
        backup_id,
        kind,
        database,
        utc_text(begun),
        now - begun,
        size=size,
        reason=reason,
        **asdict(marks),
    )


def of_dump(dump: StoredObject, begun: float, now: float) -> BackupSummary:
    """The summary of a dump that the guide's commands made; its name says which day's it is."""
    return BackupSummary(dump.key, FOREIGN, None, utc_text(begun), now - begun, size=dump.size)

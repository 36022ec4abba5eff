# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What verify and drill found of a backup, beside its manifest, which never changes.

    {"schema_version": 1, "verified": {"at": "2025-01-23T02:00:00Z", "ok": true, ...},
     "drill": null}

Both records have `at` (UTC) and `ok`; what else is in them is their writer's.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from ...core.errors import OperationError, Reason
from ...core.state_store import ABSENT, VersionConflict
from ...repository import NoSuchObject, Repository
from .layout import Layout

VERIFIED = "verified"
DRILL = "drill"

SCHEMA_VERSION = 1
_ATTEMPTS = 5


@dataclass(frozen=True)
class Proof:
    """The newest record of each kind; None where there was never one."""

    verified: dict[str, Any] | None = None
    drill: dict[str, Any] | None = None


def read_proof(repository: Repository, layout: Layout, backup_id: str) -> Proof:
    """The proof of a backup, empty where there is none or it is damaged."""
    return _read(repository, layout, backup_id)[0]


def record_proof(
    repository: Repository, layout: Layout, backup_id: str, kind: str, record: dict[str, Any]
) -> None:
    """Replace the record of this `kind`, VERIFIED or DRILL, and keep the other.

    Raises `locked` when others write the same proof again and again.
    """
    for _attempt in range(_ATTEMPTS):
        proof, version = _read(repository, layout, backup_id)
        proof = replace(proof, **{kind: record})
        try:
            repository.write(layout.proof(backup_id), _render(proof), expect=version)
        except VersionConflict:
            continue
        return
    raise OperationError(
        Reason.LOCKED,
        f"record what was found of backup {backup_id} in {repository.url}",
        "another run wrote the same record each time",
        "Run this again when that run has ended",
    )


def parse_proof(data: bytes) -> Proof:
    """The proof in `data`; a damaged one counts as none, since it can only be made anew."""
    try:
        values = json.loads(data)
        return Proof(_record(values[VERIFIED]), _record(values[DRILL]))
    except (ValueError, KeyError, TypeError):
        return Proof()


def _record(value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    return {**value, "at": str(value["at"]), "ok": bool(value["ok"])}


def _read(repository: Repository, layout: Layout, backup_id: str) -> tuple[Proof, str]:
    try:
        entry = repository.read(layout.proof(backup_id))
    except NoSuchObject:
        return Proof(), ABSENT
    return parse_proof(entry.data), entry.version


def _render(proof: Proof) -> bytes:
    return json.dumps({"schema_version": SCHEMA_VERSION, **asdict(proof)}).encode()

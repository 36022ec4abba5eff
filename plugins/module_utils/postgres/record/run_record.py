# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps what a restore or a drill took, also of one that failed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from ...core.clock import Clock
from ...core.errors import OperationError, Reason
from ...core.operation import Params
from ...repository import Repository, open_state_store
from ..sets.layout import Layout
from ..sets.manifest import Manifest
from .backup_history import BackupHistory, BackupRun
from .backup_metrics import read_facts, write_metrics


@dataclass
class RunRecord:
    """What is known of a run so far; `notes` say why it could not be kept."""

    kind: str
    manifest: Manifest | None
    notes: list[str]


@contextlib.contextmanager
def recorded(
    kind: str, params: Params, repository: Repository, clock: Clock
) -> Iterator[RunRecord]:
    """Keep the run that the block is, in the history and the metrics that the options name.

    A record that cannot be kept is a note: it does not make a good run a failed one.
    """
    began = clock.monotonic()
    record = RunRecord(kind, None, [])
    try:
        yield record
    except OperationError as error:
        _keep(record, params, repository, clock, began, error.reason)
        raise
    _keep(record, params, repository, clock, began, None)


def _keep(
    record: RunRecord,
    params: Params,
    repository: Repository,
    clock: Clock,
    began: float,
    reason: Reason | None,
) -> None:
    manifest, database, now = record.manifest, params["database"], clock.now()
    run = BackupRun(
        kind=record.kind,
        at=now,
        duration_s=round(clock.monotonic() - began, 3),
        repository=repository.url,
        backup=manifest.id if manifest else None,
        size=manifest.size if manifest else None,
        raw_size=manifest.raw_size if manifest else None,
        rows=manifest.rows if manifest else None,
        reason=reason,
    )
    try:
        history = None
        if params["state_store"]:
            history = BackupHistory(open_state_store(params["state_store"]), database)
            history.append(run)
        if params["textfile"]:
            facts = read_facts(repository, Layout(database), now, history)
            write_metrics(params["textfile"], facts)
    except OperationError as error:
        record.notes.append(f"this run is not on record: {error}")

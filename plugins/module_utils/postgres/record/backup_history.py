# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What past runs on a database's backups took, below `history/backup/<database>`, for trends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

from ...core.errors import Reason
from ...core.history import History
from ...core.state_store import StateStore
from ..sets.layout import Layout

BACKUP = "backup"
RESTORE = "restore"
DRILL = "drill"
PRUNE = "prune"

# A year and the month it is compared with.
KEEP_DAYS = 400
_DAY_S = 86400.0


@dataclass(frozen=True)
class BackupRun:
    """One run; `at` is when it ended, in seconds since the epoch, sizes are in bytes.

    `kind` is BACKUP, RESTORE, DRILL or PRUNE; `reason` is why it failed, None where it did what
    it should. What a run has no figure for is None; a prune's sizes are what it removed.
    """

    kind: str
    at: float
    duration_s: float
    repository: str
    backup: str | None = None
    size: int | None = None
    raw_size: int | None = None
    rows: int | None = None
    reason: Reason | None = None

    @property
    def rate_bytes_s(self) -> float | None:
        """Bytes of the database per second, as the dump has them."""
        if self.raw_size is None or self.duration_s <= 0:
            return None
        return self.raw_size / self.duration_s


class BackupHistory:
    """The runs on the backups of one database in a state store."""

    def __init__(self, store: StateStore, database: str, keep_days: int = KEEP_DAYS) -> None:
        self._history = History(store, f"history/backup/{Layout(database).root}", keep_days)

    def append(self, run: BackupRun) -> None:
        """Keep one run, and drop those beyond the retention."""
        self._history.append(asdict(run), run.at)

    def read(self, days: float, now: float) -> list[BackupRun]:
        """The runs of the last days, the oldest first; `now` in seconds since the epoch."""
        return list(self._newest_first(days, now))[::-1]

    def last(self, kind: str, now: float) -> BackupRun | None:
        """The newest run of a kind that is kept."""
        runs = self._newest_first(KEEP_DAYS, now)
        return next((run for run in runs if run.kind == kind), None)

    def _newest_first(self, days: float, now: float) -> Iterator[BackupRun]:
        for record in self._history.newest_first(now, days * _DAY_S):
            run = _run(record)
            if run:
                yield run


def _run(record: dict[str, Any]) -> BackupRun | None:
    """The run, or None for a record that is not one; what a newer version adds is left out."""
    known = {field.name for field in fields(BackupRun)}
    values = {name: value for name, value in record.items() if name in known}
    try:
        if values.get("reason") is not None:
            values["reason"] = Reason(values["reason"])
        return BackupRun(**values)
    except (TypeError, ValueError):
        return None

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of a database's backups as a Prometheus textfile, one file for each database.

Backup, drill and prune each know a part. So each reads the whole state back from the repository
when it is done, and writes the whole file: what another run found is never lost from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from ...core.textfile import head, sample, write_textfile
from ...repository import Repository
from ..sets.backup_summary import OK, BackupSummary
from ..sets.catalog import list_backups
from ..sets.layout import Layout, started_at
from ..sets.proofs import read_proof
from .backup_history import DRILL, BackupHistory

_PREFIX = "cost_agent_backup_"


@dataclass(frozen=True)
class BackupFacts:
    """What the metrics tell; times in seconds since the epoch, 0 where there was never one.

    `newest` is the newest good backup, `count` the number of good ones. `drilled_at`,
    `drill_duration_s` and `drill_succeeded` are the last drill's, of whichever backup.
    """

    database: str
    repository: str
    count: int
    newest: BackupSummary | None
    drilled_at: float = 0.0
    drill_duration_s: float = 0.0
    drill_succeeded: bool = False


def read_facts(
    repository: Repository, layout: Layout, now: float, history: BackupHistory | None = None
) -> BackupFacts:
    """The state of the backups in a repository, in a few requests; `now` since the epoch.

    The proof of a drill goes with its backup when that is pruned; where there is a history, the
    drill is still known from it.
    """
    backups = list_backups(repository, layout, now)
    good = [each for each in backups if each.is_good]
    newest = max(good, key=lambda each: each.started_at, default=None)
    facts = BackupFacts(layout.database, repository.url, len(good), newest)
    drilled = [(_epoch(each.drilled_at), each) for each in backups if each.drilled_at]
    if drilled:
        at, backup = max(drilled, key=lambda pair: pair[0])
        drill = read_proof(repository, layout, backup.id).drill or {}
        duration_s = float(drill.get("duration_s", 0.0))
        facts = _with_drill(facts, at, duration_s, backup.drill == OK)
    last = history.last(DRILL, now) if history else None
    if last and last.at > facts.drilled_at:
        facts = _with_drill(facts, last.at, last.duration_s, last.reason is None)
    return facts


def _with_drill(facts: BackupFacts, at: float, duration_s: float, succeeded: bool) -> BackupFacts:
    return replace(facts, drilled_at=at, drill_duration_s=duration_s, drill_succeeded=succeeded)


def write_metrics(path: str, facts: BackupFacts) -> None:
    """Replace the textfile; `precondition` when it cannot be written."""
    write_textfile(path, render(facts))


def render(facts: BackupFacts) -> str:
    """The metrics in Prometheus's text format, in its base units."""
    return "\n".join(_lines(facts)) + "\n"


def _lines(facts: BackupFacts) -> Iterator[str]:
    labels = {"database": facts.database, "repository": facts.repository}
    for metric, text, value in _values(facts):
        yield head(_PREFIX + metric, text)
        yield sample(_PREFIX + metric, value, **labels)


def _values(facts: BackupFacts) -> Iterator[tuple[str, str, float]]:
    newest = facts.newest
    yield "count", "Backups that are finished and not known to be damaged.", facts.count
    yield (
        "last_success_timestamp_seconds",
        "The moment whose data the newest good backup holds, 0 without one.",
        started_at(newest.id) if newest else 0,
    )
    if newest:
        yield "size_bytes", "Stored size of the newest good backup.", newest.size or 0
        yield "raw_size_bytes", "Size of its dump.", newest.raw_size or 0
        yield "rows", "Rows in it.", newest.rows or 0
        yield "duration_seconds", "How long it took.", newest.duration_s or 0
    yield (
        "last_drill_timestamp_seconds",
        "When a restore was last tried, 0 if it never was.",
        facts.drilled_at,
    )
    if facts.drilled_at:
        yield (
            "last_drill_duration_seconds",
            "How long that restore and its proof took.",
            facts.drill_duration_s,
        )
        yield (
            "last_drill_success",
            "1 when it proved the backup, else 0.",
            int(facts.drill_succeeded),
        )


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()

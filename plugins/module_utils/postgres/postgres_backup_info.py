# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The `postgres_backup_info` module: which backups there are, and what is known of each."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from ..core.context import Context
from ..core.errors import invalid_option
from ..core.operation import Operation, Params
from ..core.readable import age_text, count_text, read_duration, size_text
from ..core.result import Result, Table
from ..repository import open_repository, repository_arguments
from .sets.backup_summary import BACKUP, FAILED, OK, BackupSummary
from .sets.catalog import list_backups
from .sets.layout import Layout


def run(params: Params, context: Context) -> Result:
    """List them; a bad, old or missing backup is a finding, not a failure."""
    limit = params["limit"]
    if limit is not None and limit < 1:
        raise invalid_option(
            "limit", f"{limit} is below 1", "Give how many to list, or leave it out"
        )
    max_age_s = read_duration("max_age", params["max_age"]) if params["max_age"] else None
    layout = Layout(params["database"])
    with closing(open_repository(params, context.clock)) as repository:
        found = list_backups(repository, layout, context.clock.now())
        url = repository.url
    newest = next((each for each in found if each.is_good), None)
    fresh = None
    if max_age_s is not None:
        fresh = newest is not None and newest.age_s <= max_age_s
    listed = found[:limit]
    return Result(
        state={
            "repository": url,
            "database": layout.database,
            "backups": [each.as_state() for each in listed],
            "count": sum(each.kind == BACKUP for each in found),
            "size_bytes": sum(each.size or 0 for each in found),
            "newest_good": newest.as_state() if newest else None,
            "fresh": fresh,
        },
        summary=summary(found, newest, fresh) + _cut(found, listed),
        tables=[table(listed)] if listed else [],
    )


def summary(
    found: Sequence[BackupSummary], newest: BackupSummary | None, fresh: bool | None
) -> str:
    """`17 backups, 12.3 GiB, newest good one 3 h old`."""
    count = sum(each.kind == BACKUP for each in found)
    size = size_text(sum(each.size or 0 for each in found))
    text = f"{count} backup{'' if count == 1 else 's'}, {size}"
    if newest is None:
        return f"{text}, no good one"
    return f"{text}, newest good one {age_text(newest.age_s)} old" + (
        ": too old" if fresh is False else ""
    )


def _cut(found: Sequence[BackupSummary], listed: Sequence[BackupSummary]) -> str:
    return f"; the newest {len(listed)} listed" if len(listed) < len(found) else ""


def table(backups: Sequence[BackupSummary]) -> Table:
    """A line each; its widest is the 76 columns that a terminal of 80 leaves a table."""
    return Table(
        ["backup", "age", "size", "rows", "took", "proof"],
        [
            [
                each.id,
                age_text(each.age_s),
                "-" if each.size is None else size_text(each.size),
                "-" if each.rows is None else count_text(each.rows),
                "-" if each.duration_s is None else age_text(each.duration_s),
                proof_word(each),
            ]
            for each in backups
        ],
    )


def proof_word(backup: BackupSummary) -> str:
    """The strongest that is known of it in a word; of what is no backup, its kind."""
    if backup.kind != BACKUP:
        return backup.kind
    if backup.verified == FAILED:
        return "damaged"
    if backup.drill == FAILED:
        return "no restore"
    if backup.drill == OK:
        return "restored"
    return "verified" if backup.verified == OK else "none yet"


POSTGRES_BACKUP_INFO = Operation(
    name="postgres_backup_info",
    argument_spec={
        "database": {"type": "str", "default": "cost_agent"},
        **repository_arguments(),
        "max_age": {"type": "str"},
        "limit": {"type": "int"},
    },
    run=run,
)

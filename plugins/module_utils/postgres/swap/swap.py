# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restored database put in the place of the one in use, and the way back.

The database that is replaced stays beside the new one as `<name>_before_<time>`.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ...core.clock import Clock
from ...core.deadline import Deadline
from ...core.errors import OperationError, Reason
from ..server.connection import Server
from ..server.database_names import BEFORE, UNDONE, moment_in, name_beside
from ..server.database_properties import apply_properties, read_properties
from ..server.maintenance_database import connect_beside
from ..server.statements import rows
from .database_exchange import Exchange, exchange
from .rename_checks import check_may_swap

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

_PASSING = "passing"
_TIMES = ("down_from", "down_until", "downtime_s")
_DATABASES = """
    SELECT datname,
           CASE WHEN has_database_privilege(oid, 'CONNECT')
                     OR pg_has_role('pg_read_all_stats', 'USAGE') THEN pg_database_size(oid) END
    FROM pg_database ORDER BY datname
"""
_NAMES = "SELECT datname FROM pg_database ORDER BY datname"


@dataclass(frozen=True)
class Swap:
    """What was done: `came_from` is `database` now, and what that was is kept as `kept`.

    `kept` is empty where there was no such database. Between `down_from` and `down_until`
    (seconds since the epoch) requests may have failed: from when the old database still let
    everybody in until a connection was in the new one. `notes` say what is not carried over.
    """

    database: str
    came_from: str
    kept: str
    sessions_ended: int
    down_from: float
    down_until: float
    notes: list[str]

    @property
    def downtime_s(self) -> float:
        """How long requests may have failed; 0 where there was no old database."""
        return self.down_until - self.down_from if self.kept else 0.0

    @property
    def actions(self) -> list[str]:
        """Sentences for the result."""
        done = f"Renamed database {self.came_from} to {self.database}"
        if not self.kept:
            return [f"{done}; there was none of that name"]
        return [
            f"{done} and kept the one before as {self.kept}; sessions ended: "
            f"{self.sessions_ended}, without a database: {self.downtime_s:.2f} s"
        ]

    def as_dict(self) -> dict[str, Any]:
        """For `state`; with `downtime_s` in seconds."""
        times = {name: round(getattr(self, name), 3) for name in _TIMES}
        return {**asdict(self), **times}


@dataclass(frozen=True)
class KeptDatabase:
    """A database that a swap (`before`) or an undo (`undone`) left beside `database`.

    `size` is in bytes, None where this user may not ask; `age_s` is since the rename.
    """

    name: str
    kind: str
    size: int | None
    age_s: float


def list_kept(connection: Connection, database: str, now: float) -> list[KeptDatabase]:
    """What is kept beside `database`, newest first; `now` in seconds since the epoch."""
    found = []
    for name, size in rows(connection, _DATABASES, None, f"list what is kept of {database}"):
        for kind in (BEFORE, UNDONE):
            moment = moment_in(name, database, kind)
            if moment is not None:
                found.append(KeptDatabase(name, kind, size, max(0.0, now - moment)))
    return sorted(found, key=lambda kept: (kept.age_s, kept.name))


def swap_in(
    server: Server,
    restored: str,
    database: str,
    deadline: Deadline,
    clock: Clock,
    comment: str = "",
) -> Swap:
    """Make `restored` the `database`, with the old one's owner, grants, settings and comment.

    `comment` is for where there is no old one. Raises `precondition`, `auth`, `locked`
    (sessions that this user may not end), `unreachable`; the old database then still serves.
    """
    wanted = f"swap {restored} in as {database}"
    with closing(connect_beside(server, (restored, database), wanted)) as connection:
        names = _names(connection, wanted)
        if restored not in names:
            raise _no_such_database(wanted, restored)
        check_may_swap(connection, [restored, database], deadline, clock)
        notes: list[str] = []
        outgoing = ""
        if database in names:
            outgoing = name_beside(database, BEFORE, clock.now(), names)
            old = read_properties(connection, database)
            comment = old.comment
            marker = read_properties(connection, restored).comment  # until the rename
            notes = apply_properties(connection, restored, replace(old, comment=marker))
        plan = _plan(database, restored, outgoing, comment, clock)
        return _swap(server, connection, plan, notes, deadline, clock)


def undo(
    server: Server, database: str, deadline: Deadline, clock: Clock, kept: str | None = None
) -> Swap:
    """Put the newest `<database>_before_<time>`, or `kept`, back; keep the current as undone.

    Raises as `swap_in` does, and `precondition` where there is nothing to put back.
    """
    wanted = f"undo the swap of {database}"
    with closing(connect_beside(server, (database,), wanted)) as connection:
        incoming = choose_kept(list_kept(connection, database, clock.now()), database, kept)
        check_may_swap(connection, [incoming, database], deadline, clock)
        names = _names(connection, wanted)
        outgoing = ""
        if database in names:
            outgoing = name_beside(database, UNDONE, clock.now(), names)
        plan = _plan(database, incoming, outgoing, None, clock)
        return _swap(server, connection, plan, [], deadline, clock)


def choose_kept(found: list[KeptDatabase], database: str, kept: str | None) -> str:
    """The name of what an undo puts back: `kept`, or the newest that a swap replaced.

    Raises `precondition` that lists what is there.
    """
    before = [each.name for each in found if each.kind == BEFORE]
    if kept is None and before:
        return before[0]
    if kept is not None and kept in [each.name for each in found]:
        return kept
    there = ", ".join(each.name for each in found)
    missing = kept or f"{database}_{BEFORE}_<time>"
    raise OperationError(
        Reason.PRECONDITION,
        f"undo the swap of {database}",
        f"there is no database {missing}; "
        + (f"kept beside {database} are {there}" if there else "nothing is kept beside it"),
        "Give one of these, or restore a backup" if there else "Restore a backup instead",
        state={"kept": [asdict(each) for each in found]},
    )


def _plan(
    database: str, incoming: str, outgoing: str, comment: str | None, clock: Clock
) -> Exchange:
    return Exchange(
        database=database,
        incoming=incoming,
        outgoing=outgoing,
        passing=name_beside(database, _PASSING, clock.now()),
        comment=comment,
    )


def _swap(
    server: Server,
    connection: Connection,
    plan: Exchange,
    notes: list[str],
    deadline: Deadline,
    clock: Clock,
) -> Swap:
    done = exchange(server, connection, plan, deadline, clock)
    return Swap(
        database=plan.database,
        came_from=plan.incoming,
        kept=plan.outgoing,
        sessions_ended=done.sessions_ended,
        down_from=done.down_from,
        down_until=done.down_until,
        notes=notes + done.notes,
    )


def _names(connection: Connection, wanted: str) -> list[str]:
    return [name for (name,) in rows(connection, _NAMES, None, wanted)]


def _no_such_database(wanted: str, name: str) -> OperationError:
    return OperationError(
        Reason.PRECONDITION,
        wanted,
        f"this server has no database {name}",
        "Restore into it first",
    )

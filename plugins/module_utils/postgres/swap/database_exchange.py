# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One database takes the place of another by rename, in one transaction, under load.

How it is quick and whole, from PostgreSQL's RenameDatabase() and InitPostgres():

- RENAME takes the database's exclusive lock first, and only then waits, looking every 100 ms for
  at most 5 s, until no session is connected to it. A new connection needs the same lock, shared,
  before it counts as a session. So nobody can come in while a second session ends those that are
  there, and after the commit each waiting connection is told, once, that the database it had
  found by name was renamed; the next one finds the new database.
- All renames go to the server as one message, so they are one transaction that is never idle: if
  this process dies, they happen all, or not at all.
- The incoming database is locked first, under a name for the moment, so that its own sessions
  (autovacuum, monitoring) are waited for before the downtime and not in it.
"""

from __future__ import annotations

import contextlib
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...core.clock import Clock
from ...core.deadline import Deadline, backoff, poll
from ...core.errors import OperationError, Reason
from ..server.connection import Server, connect, query_failure
from ..server.database_properties import comment_statement
from ..server.maintenance_database import connect_beside
from ..server.statements import rows
from .rename_checks import MAY_END, held, sessions

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection
    from psycopg2.sql import Composable

# The guarantee of the README is 2 s with the way back in it; a session that is being ended needs
# milliseconds, and one that is still there after this long is not going to end.
_LONGEST_OUTAGE_S = 1.5
_LOCK_TIMEOUT_MS = 1000
_PAUSE_S = 0.01
_FIRST_CONNECTION_S = 10.0

# What the renaming session has locked so far, and whoever is connected to that: ended.
_END_SESSIONS = f"""
    SELECT l.objid, s.pid, CASE WHEN {MAY_END} THEN pg_terminate_backend(s.pid) END
    FROM pg_locks l
    LEFT JOIN pg_stat_activity s
        ON s.datid = l.objid AND s.usesysid IS NOT NULL AND s.pid <> l.pid
    LEFT JOIN pg_roles r ON r.oid = s.usesysid
    WHERE l.pid = %s AND l.locktype = 'object' AND l.classid = 'pg_database'::regclass
        AND l.mode = 'AccessExclusiveLock' AND l.granted
"""
_OID = "SELECT oid FROM pg_database WHERE datname = %s"


@dataclass(frozen=True)
class Exchange:
    """`incoming` becomes `database`, which becomes `outgoing` (empty: there is none).

    `passing` is the incoming one's name for the moment; `comment` its comment, None to leave it.
    """

    database: str
    incoming: str
    outgoing: str
    passing: str
    comment: str | None

    @property
    def wanted(self) -> str:
        return f"make {self.incoming} the database {self.database}"

    @property
    def databases(self) -> list[str]:
        """Those that are there before."""
        return [self.incoming, self.database] if self.outgoing else [self.incoming]


@dataclass(frozen=True)
class Exchanged:
    """How it went, in seconds since the epoch.

    `down_from` is when the old database still let everybody in for the last time, `down_until`
    when a connection was in the new one.
    """

    sessions_ended: int
    down_from: float
    down_until: float
    notes: list[str]


def exchange(
    server: Server, connection: Connection, plan: Exchange, deadline: Deadline, clock: Clock
) -> Exchanged:
    """Rename as planned, or leave everything as it was.

    `connection` is beside these databases; it ends the sessions. Raises `locked` naming the
    sessions that stay, `timeout`, `auth`, `unreachable`.
    """
    oid = _oid_of(connection, plan.incoming, plan.wanted)
    renaming = connect_beside(server, plan.databases, plan.wanted)
    try:
        _prepare(renaming, plan.wanted)
        outage = _Outage(connection, renaming, plan, clock)
        outage.run(deadline)
    finally:
        renaming.close()
    notes = _first_connection(server, plan.database, oid, clock)
    down_until = clock.now()
    lasted_s = clock.monotonic() - outage.began  # the time of day may have been set meanwhile
    return Exchanged(len(outage.ended), down_until - lasted_s, down_until, notes)


def _prepare(renaming: Connection, wanted: str) -> None:
    rows(renaming, f"SET lock_timeout = {_LOCK_TIMEOUT_MS}; SELECT 1", None, wanted)
    if renaming.server_version >= 140000:
        # If this process is killed, the server gives the locks up at once and not after 5 s;
        # where the server's system cannot tell, it refuses the setting.
        with contextlib.suppress(OperationError):
            rows(renaming, "SET client_connection_check_interval = 100; SELECT 1", None, wanted)


class _Outage:
    """The renames in one thread, and the ending of sessions in this one."""

    def __init__(
        self, connection: Connection, renaming: Connection, plan: Exchange, clock: Clock
    ) -> None:
        self._connection = connection
        self._renaming = renaming
        self._plan = plan
        self._clock = clock
        self._pid = renaming.get_backend_pid()
        self._has_begun = False
        self.began = clock.monotonic()
        self.ended: set[int] = set()

    def run(self, deadline: Deadline) -> None:
        """Rename, or raise with everything as it was."""
        old = None
        if self._plan.outgoing:
            old = _oid_of(self._connection, self._plan.database, self._plan.wanted)
        self.began = self._clock.monotonic()
        with ThreadPoolExecutor(1) as pool:
            renaming = pool.submit(self._rename)
            try:
                self._end_sessions_until_done(renaming, old, deadline)
            except BaseException:
                self._cancel()
                raise
        self._judge(renaming)

    def _rename(self) -> None:
        with self._renaming.cursor() as cursor:
            cursor.execute(_statements(self._plan))

    def _end_sessions_until_done(
        self, renaming: Future[None], old: int | None, deadline: Deadline
    ) -> None:
        while not renaming.done():
            looked_at = self._clock.monotonic()
            locked = self._end_sessions()
            if not self._has_begun:
                self._has_begun = old in locked
                # Until the look before this one, everybody could come in.
                self.began = self.began if self._has_begun else looked_at
            elif looked_at - self.began > _LONGEST_OUTAGE_S:
                self._cancel()
            if deadline.expired:
                self._cancel()
            self._clock.sleep(_PAUSE_S)

    def _cancel(self) -> None:
        import psycopg2

        with contextlib.suppress(psycopg2.Error):  # its connection is lost: nothing is renamed
            self._renaming.cancel()

    def _end_sessions(self) -> set[int]:
        """End who is connected to what is locked by now; returns what that is."""
        found = rows(self._connection, _END_SESSIONS, [self._pid], self._plan.wanted)
        self.ended.update(pid for _database, pid, was_told in found if was_told)
        return {database for database, _pid, _was_told in found}

    def _was_committed(self) -> bool:
        incoming = _oid_of(self._connection, self._plan.incoming, self._plan.wanted)
        current = _oid_of(self._connection, self._plan.database, self._plan.wanted)
        return incoming is None and current is not None

    def _judge(self, renaming: Future[None]) -> None:
        import psycopg2

        error = renaming.exception()
        if error is None:
            return
        if not isinstance(error, psycopg2.Error):
            raise error
        if error.pgcode == "55P03":
            raise _locked_by_another(self._plan.wanted) from error
        if error.pgcode not in ("55006", "57014"):
            if self._was_committed():
                return  # and only the answer was lost
            raise query_failure(self._plan.wanted, error) from error
        remaining = sessions(self._connection, self._plan.databases)
        stuck = [each for each in remaining if not each.may_be_ended] or remaining
        raise held(self._plan.wanted, stuck) from error


def _oid_of(connection: Connection, database: str, wanted: str) -> int | None:
    found: list[tuple[int]] = rows(connection, _OID, [database], wanted)
    return found[0][0] if found else None


def _statements(plan: Exchange) -> Composable:
    from psycopg2 import sql

    def rename(name: str, new_name: str) -> Composable:
        statement = sql.SQL("ALTER DATABASE {} RENAME TO {}")
        return statement.format(sql.Identifier(name), sql.Identifier(new_name))

    if plan.outgoing:
        statements = [
            rename(plan.incoming, plan.passing),
            rename(plan.database, plan.outgoing),
            rename(plan.passing, plan.database),
        ]
    else:
        statements = [rename(plan.incoming, plan.database)]
    if plan.comment is not None:
        statements.append(comment_statement(plan.database, plan.comment))
    return sql.SQL("; ").join(statements)


def _locked_by_another(wanted: str) -> OperationError:
    return OperationError(
        Reason.LOCKED,
        wanted,
        "another session changes one of these databases (ALTER DATABASE, or CREATE DATABASE from "
        "it); nothing was changed",
        "See who it is in pg_locks (locktype object, classid pg_database), then run this again",
    )


def _first_connection(server: Server, database: str, oid: int | None, clock: Clock) -> list[str]:
    """Connect as an agent would, until it is in the new database; a note where that fails."""
    met: list[OperationError] = []

    def connected() -> bool | None:
        try:
            visitor = connect(server, database, f"connect to the new {database}")
        except OperationError as error:
            met.append(error)
            return None if error.reason in (Reason.UNREACHABLE, Reason.TIMEOUT) else False
        try:
            found = _oid_of(visitor, database, f"look into the new {database}")
        finally:
            visitor.close()
        return True if found == oid else None

    if poll(connected, Deadline(clock, _FIRST_CONNECTION_S), clock, backoff(0.01, longest=0.1)):
        return []
    seen = met[-1].seen if met else "another database answers to its name"
    return [f"the new {database} is in place, but connecting to it failed: {seen}"]

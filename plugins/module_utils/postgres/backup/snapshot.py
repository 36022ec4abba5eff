# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One view of a database that pg_dump and we share: what is in it, at which point of the log."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..server.connection import Server, connect
from ..server.database_properties import read_properties
from ..server.statements import rows
from ..sets.manifest import DatabaseProperties, Extension

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

# Pages as of the last VACUUM or ANALYZE: the functions for sizes would wait for locks.
_SIZE = r"""
SELECT coalesce(sum(c.relpages + coalesce(t.relpages, 0)), 0)::int8
       * current_setting('block_size')::int8
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
WHERE c.relkind = 'r' AND c.relpersistence <> 't'
  AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\_%'
"""
_LSN = """
SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
            ELSE pg_current_wal_lsn() END::text
"""
_EXTENSIONS = "SELECT extname, extversion FROM pg_extension ORDER BY 1"
# Sessions that hold a lock with which pg_dump's ACCESS SHARE conflicts.
_BLOCKERS = """
SELECT DISTINCT a.pid, coalesce(a.usename, ''), coalesce(a.application_name, ''),
       l.relation::regclass::text
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.mode = 'AccessExclusiveLock' AND l.granted AND l.locktype = 'relation'
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.relation >= 16384
ORDER BY 1 LIMIT 5
"""


@dataclass(frozen=True)
class Snapshot:
    """What the database holds at `lsn`; `id` is for pg_dump's --snapshot.

    `size` is about how many bytes its tables have, TOAST included.
    """

    id: str
    lsn: str
    server_version: int
    size: int
    extensions: list[Extension]
    properties: DatabaseProperties


@contextlib.contextmanager
def hold_snapshot(server: Server, database: str) -> Iterator[Snapshot]:
    """The snapshot, which exists as long as the block runs."""
    purpose = f"take a snapshot of {database}"
    with contextlib.closing(connect(server, database, purpose)) as connection:
        connection.autocommit = False
        connection.isolation_level = "REPEATABLE READ"
        connection.readonly = True
        yield _take(connection, database, purpose)


def _take(connection: Connection, database: str, purpose: str) -> Snapshot:
    def ask(statement: str) -> list[Any]:
        return rows(connection, statement, None, purpose)

    [[lsn]] = ask(_LSN)
    [[size]] = ask(_SIZE)
    [[snapshot_id]] = ask("SELECT pg_export_snapshot()")
    return Snapshot(
        id=snapshot_id,
        lsn=lsn,
        server_version=connection.server_version,
        size=size,
        extensions=[Extension(*row) for row in ask(_EXTENSIONS)],
        properties=read_properties(connection, database),
    )


def find_blockers(server: Server, database: str) -> list[str]:
    """Who holds a lock that keeps pg_dump out, one phrase each."""
    purpose = f"see who locks tables of {database}"
    with contextlib.closing(connect(server, database, purpose)) as connection:
        return [
            f"pid {pid} (user {user}, {application or 'no application name'}) locks {table}"
            for pid, user, application, table in rows(connection, _BLOCKERS, None, purpose)
        ]

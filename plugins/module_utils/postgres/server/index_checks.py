# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a database's B-tree indexes are sound, by PostgreSQL's own amcheck."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...core.clock import Clock
from ...core.errors import OperationError, Reason
from .connection import Server, connect
from .parallel_queries import run_all
from .parallel_work import Tick
from .statements import rows, run

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

_SCHEMA = """
    SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
    WHERE e.extname = 'amcheck'
"""
_AVAILABLE = "SELECT 1 FROM pg_available_extensions WHERE name = 'amcheck'"
_SUPERUSER = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
# The restored database's own would see the extension come, and do what they do.
_NO_EVENT_TRIGGERS = "SET session_replication_role = replica"
# Not the catalogs' own (below FirstNormalObjectId). bt_index_check() takes valid B-trees that are
# no other session's.
_INDEXES = """
    SELECT c.oid::int8, n.nspname || '.' || c.relname
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_am a ON a.oid = c.relam
    WHERE c.oid >= 16384 AND a.amname = 'btree' AND c.relkind = 'i' AND c.relpersistence = 'p'
        AND i.indisready AND i.indisvalid
    ORDER BY c.relpages DESC
"""


@dataclass(frozen=True)
class IndexChecks:
    """How many indexes were checked, what is wrong with some, or why some or all were not."""

    checked: int
    broken: list[str] = field(default_factory=list)
    skipped: str = ""
    unchecked: list[str] = field(default_factory=list)


def check_indexes(
    server: Server, database: str, jobs: int, clock: Clock, tick: Tick
) -> IndexChecks:
    """Check every valid B-tree index; creates the extension, so only in a scratch database."""
    from psycopg2 import sql

    wanted = f"check the indexes of {database}"
    with closing(connect(server, database, wanted)) as connection:
        skipped = _extension_missing(connection, wanted)
        if skipped:
            return IndexChecks(0, skipped=skipped)
        ((schema,),) = rows(connection, _SCHEMA, None, wanted)
        indexes = dict(rows(connection, _INDEXES, None, wanted))
    check = sql.SQL("SELECT {}({})")
    function = sql.Identifier(schema, "bt_index_check")
    statements = [(oid, check.format(function, sql.Literal(oid))) for oid in indexes]
    answers: dict[int, Any] = run_all(server, database, statements, jobs, wanted, clock, tick)
    failed = [
        (f"{indexes[oid]}: {answer.seen}", answer.reason is Reason.INTEGRITY)
        for oid, answer in answers.items()
        if isinstance(answer, OperationError)
    ]
    unchecked = sorted(text for text, is_broken in failed if not is_broken)
    return IndexChecks(
        checked=len(answers) - len(unchecked),
        broken=sorted(text for text, is_broken in failed if is_broken),
        unchecked=unchecked,
    )


def _extension_missing(connection: Connection, wanted: str) -> str:
    """Empty once the extension is there, else why it is not."""
    if rows(connection, _SCHEMA, None, wanted):
        return ""
    if not rows(connection, _AVAILABLE, None, wanted):
        return "the server has no extension amcheck"
    if not rows(connection, _SUPERUSER, None, wanted)[0][0]:
        return "only a superuser may create extension amcheck"
    run(connection, _NO_EVENT_TRIGGERS, wanted)
    run(connection, "CREATE EXTENSION amcheck SCHEMA pg_catalog", wanted)
    return ""

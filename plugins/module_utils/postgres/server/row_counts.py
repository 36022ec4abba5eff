# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many rows a database has, table by table."""

from __future__ import annotations

from contextlib import closing

from ...core.clock import Clock
from ...core.errors import OperationError, Reason
from .connection import Server, connect
from .parallel_queries import run_all
from .parallel_work import Tick
from .statements import rows

_TABLES = r"""
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
    ORDER BY c.relpages DESC
"""


def count_rows(
    server: Server, database: str, jobs: int, clock: Clock, tick: Tick
) -> dict[tuple[str, str], int]:
    """The exact rows of each table (schema, name) of a database that has rows of its own.

    A table whose rows cannot be counted is left out. Raises `auth` where this role may not see
    every row.
    """
    from psycopg2 import sql

    wanted = f"count {database}'s rows"
    with closing(connect(server, database, wanted)) as connection:
        tables = list(rows(connection, _TABLES, None, wanted))
    count = sql.SQL("SELECT pg_catalog.count(*) FROM ONLY {}")
    statements = [(each, count.format(sql.Identifier(*each))) for each in tables]
    counted = run_all(server, database, statements, jobs, wanted, clock, tick)
    for found in counted.values():
        if isinstance(found, OperationError) and found.reason is Reason.AUTH:
            raise OperationError(
                Reason.AUTH,
                found.wanted,
                found.seen,
                "Connect as a superuser, or as a role with BYPASSRLS that may read every table",
            )
    return {table: found for table, found in counted.items() if isinstance(found, int)}

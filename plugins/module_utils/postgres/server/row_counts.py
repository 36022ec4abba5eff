# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a restored database has the rows that its backup had, table by table."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from ...core.clock import Clock
from ...core.errors import OperationError, Reason
from ..sets.manifest import TableRows
from .connection import Server, connect
from .parallel_queries import Tick, run_all
from .statements import rows

_TABLES = r"""
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
    ORDER BY c.relpages DESC
"""


@dataclass(frozen=True)
class Difference:
    """A table whose rows differ; `found` is None where they cannot be counted."""

    table: str
    expected: int
    found: int | None
    why: str = ""


def count_rows(
    server: Server,
    database: str,
    tables: Sequence[tuple[str, str]],
    jobs: int,
    clock: Clock,
    tick: Tick,
) -> dict[tuple[str, str], int | OperationError]:
    """The exact rows of each table (schema, name), or why they could not be counted.

    Raises `auth` where this role may not see every row.
    """
    from psycopg2 import sql

    count = sql.SQL("SELECT count(*) FROM ONLY {}")
    statements = [(each, count.format(sql.Identifier(*each))) for each in tables]
    counted = run_all(server, database, statements, jobs, f"count {database}'s rows", clock, tick)
    for found in counted.values():
        if isinstance(found, OperationError) and found.reason is Reason.AUTH:
            raise OperationError(
                Reason.AUTH,
                found.wanted,
                found.seen,
                "Connect as a superuser, or as a role with BYPASSRLS that may read every table",
            )
    return counted


def tables_of(server: Server, database: str) -> list[tuple[str, str]]:
    """The tables (schema, name) of a database that have rows of their own, largest first."""
    wanted = f"list the tables of {database}"
    with closing(connect(server, database, wanted)) as connection:
        return list(rows(connection, _TABLES, None, wanted))


def differences(
    expected: Sequence[TableRows], counted: dict[tuple[str, str], int | OperationError]
) -> list[Difference]:
    """The tables that have other rows than expected, by name."""
    found = []
    for table in expected:
        rows_now = counted[table.schema, table.name]
        name = f"{table.schema}.{table.name}"
        if isinstance(rows_now, OperationError):
            found.append(Difference(name, table.rows, None, rows_now.seen))
        elif rows_now != table.rows:
            found.append(Difference(name, table.rows, rows_now))
    return sorted(found, key=lambda each: each.table)

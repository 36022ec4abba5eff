# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Planner statistics for a database that was just filled, several tables at a time."""

from __future__ import annotations

from contextlib import closing

from ...core.clock import Clock
from ...core.errors import OperationError
from .connection import Server, connect
from .parallel_queries import run_all
from .parallel_work import Tick
from .statements import rows

# What may be analyzed; ANALYZE of a partitioned table takes in its partitions.
_TABLES = r"""
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'm', 'p') AND NOT c.relispartition
      AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
    ORDER BY c.relpages DESC
"""


def analyze_tables(server: Server, database: str, jobs: int, clock: Clock, tick: Tick) -> list[str]:
    """ANALYZE every table and materialized view; a sentence for each that could not be analyzed."""
    from psycopg2 import sql

    wanted = f"analyze the tables of {database}"
    with closing(connect(server, database, wanted)) as connection:
        names = rows(connection, _TABLES, None, wanted)
    analyze = sql.SQL("ANALYZE {}")
    statements = [(each, analyze.format(sql.Identifier(*each))) for each in names]
    answers = run_all(server, database, statements, jobs, wanted, clock, tick)
    return [
        f"{schema}.{table} could not be analyzed: {answer.seen}"
        for (schema, table), answer in answers.items()
        if isinstance(answer, OperationError)
    ]

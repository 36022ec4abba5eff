# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many statements over a few connections to one database, each with an answer or a failure."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from ...core.clock import Clock
from .connection import Server, query_failure
from .parallel_work import Task, Tick, work_all

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection
    from psycopg2.sql import Composable

# A row-level policy is an error then, instead of rows that are silently left out.
NO_POLICIES = "SET row_security = off"
K = TypeVar("K")


def run_all(
    server: Server,
    database: str,
    statements: Sequence[tuple[K, Composable]],
    jobs: int,
    wanted: str,
    clock: Clock,
    tick: Tick,
    settings: str = NO_POLICIES,
) -> dict[K, Any]:
    """The first value that each statement answers, None for one without an answer.

    An `OperationError` in place of a value is why that statement failed; a lost connection is
    raised. `tick` is called all the time from this thread; what it raises ends everything.
    """
    answers: dict[K, Any] = {}

    def asking(key: K, statement: Composable) -> Task:
        def ask(connection: Connection, _stopped: threading.Event) -> None:
            answers[key] = _answer(connection, statement, wanted)

        return ask

    tasks = [asking(key, statement) for key, statement in statements]
    work_all(server, database, tasks, jobs, wanted, clock, tick, settings)
    return answers


def _answer(connection: Connection, statement: Composable, wanted: str) -> Any:
    import psycopg2

    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
            if cursor.description is None:
                return None
            row = cursor.fetchone()
            return row[0] if row else None
    except psycopg2.Error as error:
        failure = query_failure(wanted, error)
        if connection.closed:
            raise failure from error
        return failure

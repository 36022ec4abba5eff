# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many statements over a few connections to one database, ended at once when they must be."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Callable, Generic, TypeVar

from ...core.clock import Clock
from ...core.errors import OperationError
from .connection import Server, connect, query_failure
from .statements import rows

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection
    from psycopg2.sql import Composable

_TICK_S = 0.02
# A row-level policy is an error then, instead of rows that are silently left out.
_NO_POLICIES = "SELECT set_config('row_security', 'off', false)"
K = TypeVar("K")

Tick = Callable[[], None]


def run_all(
    server: Server,
    database: str,
    statements: Sequence[tuple[K, Composable]],
    jobs: int,
    wanted: str,
    clock: Clock,
    tick: Tick,
) -> dict[K, Any]:
    """The first value that each statement answers, None for one without an answer.

    An `OperationError` in place of a value is why that statement failed; a lost connection is
    raised. `tick` is called all the time from this thread; what it raises ends everything.
    """
    run = _Run(statements, wanted)
    connections: list[Connection] = []
    threads: list[threading.Thread] = []
    try:
        for _each in range(min(jobs, len(statements))):
            connections.append(connect(server, database, wanted))
            rows(connections[-1], _NO_POLICIES, None, wanted)
        threads = [threading.Thread(target=run.work, args=(each,)) for each in connections]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            tick()
            clock.sleep(_TICK_S)
    finally:
        run.stop()
        for connection in connections:
            _cancel(connection)
        for thread in threads:
            thread.join()
        for connection in connections:
            connection.close()
    if run.lost is not None:
        raise run.lost
    return run.answers


def _cancel(connection: Connection) -> None:
    import psycopg2

    with contextlib.suppress(psycopg2.Error):
        connection.cancel()


class _Run(Generic[K]):
    """The statements still to be run, and what the others answered."""

    def __init__(self, statements: Sequence[tuple[K, Composable]], wanted: str) -> None:
        self._wanted = wanted
        self._left: queue.SimpleQueue[tuple[K, Composable]] = queue.SimpleQueue()
        for each in statements:
            self._left.put(each)
        self._stopped = False
        self.answers: dict[K, Any] = {}
        self.lost: OperationError | None = None

    def stop(self) -> None:
        self._stopped = True

    def work(self, connection: Connection) -> None:
        """Run statements over this connection until none is left; of a thread."""
        import psycopg2

        while not self._stopped:
            try:
                key, statement = self._left.get_nowait()
            except queue.Empty:
                return
            try:
                self.answers[key] = _first_value(connection, statement)
            except psycopg2.Error as error:
                failure = query_failure(self._wanted, error)
                if connection.closed:
                    self.lost = failure
                    self.stop()
                else:
                    self.answers[key] = failure


def _first_value(connection: Connection, statement: Composable) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        if cursor.description is None:
            return None
        row = cursor.fetchone()
        return row[0] if row else None

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks over a few connections to one database, ended at once when they must be."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Callable

from ...core.clock import Clock
from .connection import Server, connect
from .statements import run

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

_TICK_S = 0.02
_CANCEL_AGAIN_S = 0.1

Tick = Callable[[], None]
# Work with a connection; once the event is set its statement is cancelled, and it is to end.
Task = Callable[["Connection", threading.Event], None]


def work_all(
    server: Server,
    database: str,
    tasks: Sequence[Task],
    jobs: int,
    wanted: str,
    clock: Clock,
    tick: Tick,
    settings: str,
) -> None:
    """Run every task over `jobs` autocommit connections, the first ones first.

    `settings` are the SET statements of each connection. The first task that raises ends all
    others, and what it raised is raised. `tick` is called all the time from this thread; what it
    raises ends everything too.
    """
    work = _Work(tasks)
    connections: list[Connection] = []
    threads: list[threading.Thread] = []
    try:
        for _each in range(min(jobs, len(tasks))):
            connections.append(connect(server, database, wanted))
            run(connections[-1], settings, wanted)
        threads = [threading.Thread(target=work.through, args=(each,)) for each in connections]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            tick()
            clock.sleep(_TICK_S)
    finally:
        work.stopped.set()
        for connection, thread in zip(connections, threads):
            _end(connection, thread)
        for connection in connections:
            connection.close()
    if work.failure is not None:
        raise work.failure


class _Work:
    """The tasks still to be done, and what the first of the others raised."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._left: queue.SimpleQueue[Task] = queue.SimpleQueue()
        for each in tasks:
            self._left.put(each)
        self.stopped = threading.Event()
        self.failure: BaseException | None = None

    def through(self, connection: Connection) -> None:
        """Do tasks until none is left; of a thread."""
        while not self.stopped.is_set():
            try:
                task = self._left.get_nowait()
            except queue.Empty:
                return
            try:
                task(connection, self.stopped)
            except BaseException as error:  # handed to the thread that waits
                if not self.stopped.is_set():
                    self.failure = error
                self.stopped.set()


def _end(connection: Connection, thread: threading.Thread) -> None:
    """Cancel until the thread has ended: between two statements there is nothing to cancel."""
    import psycopg2

    while thread.is_alive():
        with contextlib.suppress(psycopg2.Error):
            connection.cancel()
        thread.join(_CANCEL_AGAIN_S)

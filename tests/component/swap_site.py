# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real server with a database in use and a restored one beside it, for tests of the swap."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.clock import SystemClock
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.deadline import Deadline
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.server.connection import (
    Server,
    connect,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.swap.swap import (
    Swap,
    swap_in,
    undo,
)
from psycopg2 import sql

from tests.waiting import eventually

CLOCK = SystemClock()

# What a killed run is: the engine alone in a process of its own.
_CHILD = """\
import json, sys
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.cancellation import (
    cancellable,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.clock import SystemClock
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.deadline import Deadline
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.server.connection import Server
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.swap.swap import swap_in

given = json.loads(sys.stdin.read())
clock = SystemClock()
with cancellable():
    swap_in(Server(**given["server"]), *given["names"], Deadline(clock, 30), clock)
"""


class SwapSite:
    """`owner` is the unprivileged role that owns what `make` makes."""

    def __init__(self, address: dict[str, Any]) -> None:
        place = {"host": address["host"], "port": address["port"]}
        secrets = [address["password_file"], address["superuser_password_file"]]
        passwords = [Path(path).read_text().strip() for path in secrets]
        self.owner = Server(user=address["user"], password=passwords[0], **place)
        self.superuser = Server(user=address["superuser"], password=passwords[1], **place)
        self._root = connect(self.superuser, "postgres", "test")

    def close(self) -> None:
        self._root.close()

    # --- databases ----------------------------------------------------------------------------

    def make(self, name: str, marker: str) -> None:
        """A database of the owner's with one table, which holds the marker."""
        self.remove(name)
        with self.session("postgres") as connection:
            statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
            connection.cursor().execute(statement)
        with self.session(name) as connection:
            connection.cursor().execute("CREATE TABLE public.marker AS SELECT %s AS text", [marker])

    def remove(self, name: str) -> None:
        """Drop a database and all that stands beside it."""
        for found in self.names():
            if found == name or found.startswith(f"{name}_"):
                statement = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(found))
                self.run(statement)

    def marker(self, name: str) -> str:
        with self.session(name) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT text FROM public.marker")
            return str(cursor.fetchone()[0])

    def markers(self, name: str) -> list[str]:
        """Of the database and all that stands beside it, to see that nothing is lost."""
        names = [each for each in self.names() if each == name or each.startswith(f"{name}_")]
        return sorted(self.marker(each) for each in names)

    def names(self) -> list[str]:
        return [name for (name,) in self.ask("SELECT datname FROM pg_database ORDER BY 1")]

    def run(self, statement: Any, *values: Any) -> None:
        with self._root.cursor() as cursor:
            cursor.execute(statement, values or None)

    def ask(self, statement: str, *values: Any) -> list[Any]:
        with self._root.cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall())

    @contextlib.contextmanager
    def session(self, name: str, server: Server | None = None) -> Iterator[Any]:
        connection = connect(server or self.owner, name, "test")
        try:
            yield connection
        finally:
            connection.close()

    @contextlib.contextmanager
    def stuck_session(self, name: str) -> Iterator[int]:
        """A session whose process is stopped, so that it cannot even be ended."""
        with self.session(name) as connection:
            pid = connection.get_backend_pid()
            os.kill(pid, signal.SIGSTOP)
            try:
                yield pid
            finally:
                os.kill(pid, signal.SIGCONT)
        eventually(lambda: not self.ask("SELECT FROM pg_stat_activity WHERE pid = %s", pid))

    # --- swaps --------------------------------------------------------------------------------

    def swap_in(self, restored: str, database: str, server: Server | None = None) -> Swap:
        return swap_in(server or self.owner, restored, database, Deadline(CLOCK, 60), CLOCK)

    def undo(self, database: str, kept: str | None = None) -> Swap:
        return undo(self.owner, database, Deadline(CLOCK, 60), CLOCK, kept)

    @contextlib.contextmanager
    def swapping(self, restored: str, database: str) -> Iterator[subprocess.Popen[bytes]]:
        """A process that swaps; what is left of it at the end is killed."""
        process = subprocess.Popen([sys.executable, "-c", _CHILD], stdin=subprocess.PIPE)
        given = {"server": vars(self.owner), "names": [restored, database]}
        assert process.stdin is not None
        with process.stdin:
            process.stdin.write(json.dumps(given).encode())
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def is_locked(self, name: str) -> bool:
        """Whether a rename keeps new sessions out of a database now."""
        statement = """
            SELECT FROM pg_locks JOIN pg_database d ON d.oid = objid
            WHERE classid = 'pg_database'::regclass AND mode = 'AccessExclusiveLock'
                AND granted AND datname = %s
        """
        return bool(self.ask(statement, name))

    def has_sessions(self) -> bool:
        """Whether the server still works for a session of the owner's, its client there or not."""
        return bool(self.ask("SELECT FROM pg_stat_activity WHERE usename = %s", self.owner.user))

    def waits_for_lock(self) -> bool:
        """Whether a session of the owner's waits for anybody."""
        statement = """
            SELECT FROM pg_stat_activity WHERE usename = %s AND wait_event_type = 'Lock'
        """
        return bool(self.ask(statement, self.owner.user))

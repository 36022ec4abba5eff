# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A dump that this collection did not make into a new database, stopping at the first error."""

from __future__ import annotations

import contextlib
import os
import re
import select
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Callable

from ...core.clock import Clock
from ...core.errors import OperationError, Reason
from ...core.scratch import scratch_folder
from ...core.watch import Watch
from ...repository import Repository
from ..server.child import Child, running
from ..server.database_properties import apply_properties, read_properties
from ..server.maintenance_database import connect_beside
from ..server.programs import find_program
from ..server.row_counts import count_rows
from ..server.statements import rows
from ..sets.manifest import DatabaseProperties
from .archive_restore import ArchiveRestore
from .dump_source import CUSTOM, DIRECTORY, PLAIN, Dump, DumpFolder, find_dump, read_dump
from .new_database import Marker, new_database, subscription_notes
from .pg_restore import SETTING_KNOWN_FROM, restore_environment
from .restore_backup import Plan, Restored
from .restore_checks import check_disk, check_target, free_bytes, look_at
from .restore_failure import restore_failure
from .restore_options import RestoreOptions

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

_TEMPLATE = "template1"
_NOBODY = ""  # the owner in properties that are only for creating a database
_TICK_S = 0.02
_LONGEST_WAIT_MS = 200
# psql's commands that leave the database or the program. COPY's own rows never begin so.
_LEAVES = re.compile(rb"\n\\(c|connect|!)(?:\s|$)")
_BEGINS = b"-- PostgreSQL database dump"
_ENDS = b"-- PostgreSQL database dump complete"
_EDGE_BYTES = 4096
# pg_dump 17 and later write it at the beginning, for whatever server.
_NEW_SETTING = b"SET transaction_timeout = 0;\n"


class DumpRestore:
    """One dump, for one restore of it."""

    def __init__(
        self, options: RestoreOptions, repository: Repository, key: str, clock: Clock
    ) -> None:
        """Raises `precondition` when there is no such dump."""
        self._options = options
        self._repository = repository
        self._clock = clock
        self.dump: Dump = find_dump(repository, key)
        self.wanted = f"restore dump {key} into {options.database}"
        if self.dump.kind == PLAIN and not options.owners:
            raise OperationError(
                Reason.PRECONDITION,
                self.wanted,
                "owners: false was given, and the statements of a plain SQL dump name its owners",
                "Leave owners away and have the roles on the server, or restore another backup",
            )

    @property
    def backup(self) -> str:
        """What is restored, for messages."""
        return self.dump.key

    def check(self) -> Plan:
        """Raise what stands in the way, before anything is changed anywhere."""
        options = self._options
        with contextlib.closing(
            connect_beside(options.server, (options.database,), self.wanted)
        ) as connection:
            target = look_at(connection, self.wanted)
            properties = self._properties(connection)
        check_target(target, self.wanted)
        name = "psql" if self.dump.kind == PLAIN else "pg_restore"
        program = find_program(name, target.version, options.bin_dir)
        free = free_bytes(target)
        if options.check_disk:
            check_disk(free, self.dump.size, self.wanted)
        return Plan(target, properties, program, free, self.dump.size, to_create=[])

    @contextlib.contextmanager
    def into(self, name: str, purpose: str, plan: Plan, watch: Watch) -> Iterator[Restored]:
        """Fill the new database `name` and count its rows; drop it when the block raises."""
        options = self._options
        marker = Marker.of_this_run(
            purpose, options.database, self.dump.key, self._clock, options.timeout_s
        )
        with new_database(options.server, name, plan.properties, marker) as notes:
            began = watch.deadline.elapsed
            load = {
                DIRECTORY: self._load_folder,
                CUSTOM: self._load_archive,
                PLAIN: self._load_script,
            }
            load[self.dump.kind](name, plan, watch)
            watch.enter("count")
            rows = count_rows(options.server, name, options.jobs, self._clock, watch.tick)
            yield Restored(
                name=name,
                rows=sum(rows.values()),
                tables=len(rows),
                load_s=round(watch.deadline.elapsed - began, 3),
                notes=[*notes, "a dump has no row counts to compare with", *self._parallel_note()],
            )

    def finish(self, name: str, plan: Plan) -> list[str]:
        """Give the database what the one of today has, where there is one."""
        with contextlib.closing(
            connect_beside(self._options.server, (name,), self.wanted)
        ) as connection:
            properties = plan.properties
            if properties.owner == _NOBODY:
                properties = replace(read_properties(connection, name), comment="")
            notes = apply_properties(connection, name, properties)
            return [*notes, *subscription_notes(connection, name)]

    def _properties(self, connection: Connection) -> DatabaseProperties:
        """A dump does not tell encoding and locale: those of the database of today, if any."""
        database = self._options.database
        statement = "SELECT 1 FROM pg_database WHERE datname = %s"
        if rows(connection, statement, [database], self.wanted):
            return read_properties(connection, database)
        return replace(read_properties(connection, _TEMPLATE), owner=_NOBODY)

    def _parallel_note(self) -> list[str]:
        if self.dump.kind == CUSTOM and self._options.jobs > 1:
            return ["a custom-format dump comes as one stream, which pg_restore reads with one job"]
        return []

    def _load_folder(self, name: str, plan: Plan, watch: Watch) -> None:
        options = self._options
        files = DumpFolder(self._repository, self.dump.key)
        restore = ArchiveRestore(plan.pg_restore(options, name), options.jobs)
        with scratch_folder(options.scratch) as folder:
            restore.run(
                files, folder, self._clock, lambda _rows: watch.moving(files.done, self.dump.size)
            )

    def _load_archive(self, name: str, plan: Plan, watch: Watch) -> None:
        pg_restore = plan.pg_restore(self._options, name)
        with running(pg_restore.command(), pg_restore.environment, subprocess.PIPE) as child:
            self._feed(child, watch, lambda data: data)
            while child.poll() is None and not pg_restore.has_failed(child):
                watch.tick()
                self._clock.sleep(_TICK_S)
            code = child.poll()
        pg_restore.judge(child, code, self.wanted)

    def _load_script(self, name: str, plan: Plan, watch: Watch) -> None:
        command = [
            plan.program.path,
            "--no-psqlrc",
            "--quiet",
            "--no-password",
            "--set=ON_ERROR_STOP=1",
            "--file=-",
        ]
        script = _PlainSql(self.dump.key, plan.target.version)
        environment = restore_environment(self._options.server, name)
        with running(command, environment, subprocess.PIPE) as child:
            self._feed(child, watch, script.passed)
            while child.poll() is None:
                watch.tick()
                self._clock.sleep(_TICK_S)
        code = child.wait()
        if code != 0:
            raise restore_failure(self.wanted, child.name, code, child.said())

    def _feed(self, child: Child, watch: Watch, passed: Callable[[bytes], bytes]) -> None:
        """Give the child the dump and then the end of it, unless it ends before.

        `passed` is given each piece, and an empty one at the end; what it returns is sent.
        """
        os.set_blocking(child.stdin.fileno(), False)

        def seen(done: int) -> None:
            watch.moving(done, self.dump.size)

        try:
            for data in read_dump(self._repository, self.dump, seen):
                if data:  # unpacking may give nothing yet
                    _write(child.stdin.fileno(), passed(data), watch)
        except BrokenPipeError:
            return
        passed(b"")
        child.stdin.close()


def _write(handle: int, data: bytes, watch: Watch) -> None:
    """Write everything, watching while the reader is busy."""
    ready = select.poll()
    ready.register(handle, select.POLLOUT)
    rest = memoryview(data)
    while rest:
        if ready.poll(_LONGEST_WAIT_MS):
            rest = rest[os.write(handle, rest) :]
        watch.tick()


class _PlainSql:
    """An SQL script as it passes."""

    def __init__(self, key: str, server_version: int) -> None:
        self._key = key
        self._knows_setting = server_version >= SETTING_KNOWN_FROM
        self._first = b""
        self._last = b"\n"

    def passed(self, data: bytes) -> bytes:
        """What the server is to see of a piece; an empty one is the end.

        Raises `precondition` where the script would leave the new database, `integrity` where
        it began as pg_dump's and does not end so.
        """
        if not data:
            self._check_end()
        is_first = not self._first
        if len(self._first) < _EDGE_BYTES:
            self._first += data[:_EDGE_BYTES]
        found = _LEAVES.search(self._last[-16:] + data)
        if found:
            raise OperationError(
                Reason.PRECONDITION,
                f"restore dump {self._key}",
                f"its psql command \\{found.group(1).decode()} would leave the new database",
                "Make the dump without --create, and not with pg_dumpall",
            )
        self._last = (self._last + data)[-_EDGE_BYTES:]
        if is_first and not self._knows_setting:
            return data.replace(_NEW_SETTING, b"", 1)
        return data

    def _check_end(self) -> None:
        if _BEGINS in self._first and _ENDS not in self._last:
            raise OperationError(
                Reason.INTEGRITY,
                f"restore dump {self._key}",
                f"it does not end with {_ENDS.decode()!r}",
                "Use another dump: this one was not written or uploaded whole",
            )

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory dump into a database: pg_restore for what it makes, our own connections for rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Callable

from ...core.clock import Clock
from ...core.errors import OperationError, Reason
from ..server.child import running
from ..server.connection import Server
from ..server.programs import Program
from .archive_contents import ArchiveContents, MissingFile, TableData, read_contents
from .restore_failure import restore_failure
from .row_loading import DumpFiles, RowLoading, Rows, Tick
from .toc import UnreadableToc

TOC = "toc.dat"
_LIST = "list"
_TICK_S = 0.02


@dataclass(frozen=True)
class ArchiveRestore:
    """How a dump is put into a database; without `owners` everything is the user's own."""

    pg_restore: Program
    server: Server
    database: str
    jobs: int
    owners: bool

    def run(self, files: DumpFiles, folder: Path, clock: Clock, tick: Tick) -> Rows:
        """Restore into the empty database; the rows of each table (schema, name).

        `folder` is empty; only the table of contents is put there. `tick(bytes_loaded)` is
        called all the time; what it raises ends everything. Raises what the files raise, and
        what the failure of pg_restore or of the server means.
        """
        wanted = f"restore into database {self.database}"
        contents = _read(files, wanted)
        (folder / TOC).write_bytes(contents.toc)
        self._make(contents.before, 1, folder, clock, lambda: tick(0))
        loading = RowLoading(files, contents)
        rows = loading.run(self.server, self.database, self.jobs, clock, tick)
        for table in contents.tables:
            if not table.copy:
                self._run_inserts(table, files, folder, clock, lambda: tick(loading.loaded))
        self._make(contents.after, self.jobs, folder, clock, lambda: tick(loading.loaded))
        return rows

    def _run_inserts(
        self,
        table: TableData,
        files: DumpFiles,
        folder: Path,
        clock: Clock,
        tick: Callable[[], None],
    ) -> None:
        """What is no COPY pg_restore takes from a file, one at a time."""
        path = folder / table.file
        with path.open("wb") as file:
            files.stream(table.file, lambda data: _write(file, data, tick))
        self._make([table.dump_id], 1, folder, clock, tick)
        path.unlink()

    def _make(
        self,
        entries: Sequence[int],
        jobs: int,
        folder: Path,
        clock: Clock,
        tick: Callable[[], None],
    ) -> None:
        """Let pg_restore make these entries of the table of contents in `folder`."""
        wanted = f"restore into database {self.database}"
        chosen = folder / _LIST
        chosen.write_text("".join(f"{each};\n" for each in entries))
        command = [
            self.pg_restore.path,
            "--format=directory",
            "--exit-on-error",
            "--no-password",
            f"--use-list={chosen}",
            f"--jobs={jobs}",
            f"--dbname={connection_string(self.database)}",
            *([] if self.owners else ["--no-owner", "--no-acl"]),
            str(folder),
        ]
        with running(command, restore_environment(self.server, self.database)) as child:
            while (code := child.poll()) is None:
                tick()
                clock.sleep(_TICK_S)
        if code != 0:
            raise restore_failure(wanted, child.name, code, child.said())


def _write(file: IO[bytes], data: bytes, tick: Callable[[], None]) -> None:
    file.write(data)
    tick()


def restore_environment(server: Server, database: str) -> dict[str, str]:
    """The environment of a program that fills a database which nobody needs before it is whole."""
    environment = server.environment(database)
    options = f"{environment.get('PGOPTIONS', '')} -c synchronous_commit=off".strip()
    return {**environment, "PGOPTIONS": options}


def connection_string(database: str) -> str:
    """A database's name as libpq reads it also where it has an equals sign or a quote in it."""
    escaped = database.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{escaped}'"


def _read(files: DumpFiles, wanted: str) -> ArchiveContents:
    sizes = {name: size for name, size in files.sizes.items() if name != TOC}
    try:
        return read_contents(files.read(TOC), sizes)
    except UnreadableToc as error:
        raise OperationError(
            Reason.PRECONDITION,
            wanted,
            f"its table of contents cannot be read: {error}",
            "Use a version of this collection that knows the pg_dump which made it, or another"
            " backup",
        ) from error
    except MissingFile as error:
        raise OperationError(
            Reason.INTEGRITY,
            wanted,
            f"the archive refers to {error}, which is not in the backup",
            "Use another backup; postgres_backup_verify tells which ones are whole",
        ) from error

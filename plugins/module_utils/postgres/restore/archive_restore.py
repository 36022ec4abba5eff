# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory dump into a database: pg_restore for what it makes, our own connections for rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO, Callable

from ...core.clock import Clock
from ...core.errors import OperationError, Reason
from ..server.child import running
from ..sets.toc import UnreadableToc
from .archive_contents import ArchiveContents, MissingFile, TableData, read_contents
from .pg_restore import PgRestore
from .row_loading import DumpFiles, RowLoading, Rows, Tick

TOC = "toc.dat"
_LIST = "list"
_TICK_S = 0.02


class ArchiveRestore:
    """One way of restoring, for any dump."""

    def __init__(self, pg_restore: PgRestore, jobs: int) -> None:
        self._pg_restore = pg_restore
        self._jobs = jobs
        self._wanted = f"restore into database {pg_restore.database}"

    def run(self, files: DumpFiles, folder: Path, clock: Clock, tick: Tick) -> Rows:
        """Restore into the empty database; the rows of each data file.

        `folder` is empty; only the table of contents is put there. `tick(bytes_loaded)` is
        called all the time; what it raises ends everything. Raises what the files raise, and
        what the failure of pg_restore or of the server means.
        """
        contents = _read(files, self._wanted)
        (folder / TOC).write_bytes(contents.toc)
        self._make(contents.before, 1, folder, clock, lambda: tick(0))
        loading = RowLoading(files, contents)
        target = self._pg_restore
        rows = loading.run(target.server, target.database, self._jobs, clock, tick)
        for table in contents.tables:
            if not table.copy:
                self._run_inserts(table, files, folder, clock, lambda: tick(loading.loaded))
        self._make(contents.after, self._jobs, folder, clock, lambda: tick(loading.loaded))
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
        chosen = folder / _LIST
        chosen.write_text("".join(f"{each};\n" for each in entries))
        command = self._pg_restore.command(
            "--format=directory", f"--use-list={chosen}", f"--jobs={jobs}", str(folder)
        )
        with running(command, self._pg_restore.environment) as child:
            while child.poll() is None and not self._pg_restore.has_failed(child):
                tick()
                clock.sleep(_TICK_S)
            code = child.poll()
        self._pg_restore.judge(child, code, self._wanted)


def _write(file: IO[bytes], data: bytes, tick: Callable[[], None]) -> None:
    file.write(data)
    tick()


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

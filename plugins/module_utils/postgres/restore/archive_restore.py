# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory dump through pg_restore, with a FIFO in the place of each data file."""

from __future__ import annotations

import os
from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Protocol

from ...core.clock import Clock
from ...core.errors import OperationError, Reason
from ..server.child import running
from ..server.connection import Server
from ..server.programs import Program
from .feeding import Feeder
from .restore_failure import restore_failure
from .toc import UnreadableToc, largest_first, read_toc

TOC = "toc.dat"
_OLD_LIST = "blobs.toc"
_COMPRESSIONS = ("gz", "lz4", "zst")  # pg_restore finds them by suffix and unpacks them itself
_TICK_S = 0.02

Tick = Callable[[int], None]


class DumpFiles(Protocol):
    """Where the files of a directory dump come from."""

    @property
    def sizes(self) -> dict[str, int]:
        """The files of the dump and about how many bytes each has, toc.dat among them."""

    def read(self, name: str) -> bytes:
        """A small file whole."""

    def stream(self, name: str, write: Callable[[bytes], None]) -> None:
        """Give a file's bytes to `write`; raises `OperationError`."""


@dataclass(frozen=True)
class ArchiveRestore:
    """How a dump is put into a database; without `owners` everything is the user's own."""

    pg_restore: Program
    server: Server
    database: str
    jobs: int
    owners: bool

    @property
    def command(self) -> list[str]:
        return [
            self.pg_restore.path,
            "--format=directory",
            "--exit-on-error",
            "--no-password",
            f"--jobs={self.jobs}",
            f"--dbname={connection_string(self.database)}",
            *([] if self.owners else ["--no-owner", "--no-acl"]),
        ]

    def run(self, files: DumpFiles, folder: Path, clock: Clock, tick: Tick) -> None:
        """Restore into the empty database; `folder` is empty, and only toc.dat is put on disk.

        `tick(bytes_fed)` is called all the time; what it raises ends everything. Raises what
        the files raise, and what pg_restore's failure means.
        """
        wanted = f"restore into database {self.database}"
        toc, names = _prepare(files, wanted)
        (folder / TOC).write_bytes(toc)
        for name in names:
            os.mkfifo(folder / name, 0o600)
        feeder = Feeder(folder, names, files.stream, self.jobs)
        environment = restore_environment(self.server, self.database)
        try:
            # Ended before the feeder lets go: a FIFO that ends looks like a whole file.
            with running([*self.command, str(folder)], environment) as child:
                feeder.start()
                while (code := child.poll()) is None:
                    feeder.raise_failure()
                    tick(feeder.fed)
                    clock.sleep(_TICK_S)
        finally:
            feeder.stop()
        feeder.raise_failure()
        if code != 0:
            raise restore_failure(wanted, child.name, code, child.said())
        if feeder.unopened:
            raise OperationError(
                Reason.INTEGRITY,
                wanted,
                f"the archive does not refer to {', '.join(feeder.unopened[:3])}",
                "Use another backup; postgres_backup_verify tells which ones are whole",
            )


def restore_environment(server: Server, database: str) -> dict[str, str]:
    """The environment of a program that fills a database which nobody needs before it is whole."""
    environment = server.environment(database)
    options = f"{environment.get('PGOPTIONS', '')} -c synchronous_commit=off".strip()
    return {**environment, "PGOPTIONS": options}


def connection_string(database: str) -> str:
    """A database's name as libpq reads it also where it has an equals sign or a quote in it."""
    escaped = database.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{escaped}'"


def _prepare(files: DumpFiles, wanted: str) -> tuple[bytes, list[str]]:
    """toc.dat, and the other files in the order in which pg_restore will open them."""
    toc = files.read(TOC)
    sizes = {name: size for name, size in files.sizes.items() if name != TOC}
    stored = {_without_compression(name): name for name in sizes}
    try:
        toc = largest_first(toc, {plain: sizes[name] for plain, name in stored.items()})
        entries = sorted(read_toc(toc), key=lambda each: each.dump_id)
    except UnreadableToc:
        # Of a newer PostgreSQL: restored as it is, in its own order.
        return toc, _in_number_order(list(sizes))
    first = [_data_file(entry.file, stored) for entry in entries if entry.file]
    missing = [name for name in first if name not in stored]
    if missing:
        raise OperationError(
            Reason.INTEGRITY,
            wanted,
            f"the archive refers to {missing[0]}, which is not in the backup",
            "Use another backup; postgres_backup_verify tells which ones are whole",
        )
    rest = _in_number_order([name for name in stored if name not in set(first)])
    return toc, [stored[name] for name in first + rest]


def _data_file(name: str, stored: Container[str]) -> str:
    """Before PostgreSQL 16 the one list of large objects has always the same name."""
    is_old_list = name.endswith(".toc") and name not in stored and _OLD_LIST in stored
    return _OLD_LIST if is_old_list else name


def _without_compression(name: str) -> str:
    stem, _dot, suffix = name.rpartition(".")
    return stem if suffix in _COMPRESSIONS else name


def _in_number_order(names: Sequence[str]) -> list[str]:
    """By the number in each: 9.dat before 10.dat, blob_9.dat before blob_10.dat."""
    return sorted(names, key=lambda name: (name.strip("0123456789"), _number(name), name))


def _number(name: str) -> int:
    digits = "".join(filter(str.isdigit, name))
    return int(digits) if digits else 0

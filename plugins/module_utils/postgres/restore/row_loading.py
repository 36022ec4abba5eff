# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows and large objects of a directory dump into its database, over our own connections.

A table's rows come as COPY takes them, in the transaction that empties the table: then they can be
frozen at once, and no later vacuum writes them again.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Callable, Protocol, cast

from ...core.clock import Clock
from ...core.errors import OperationError, Reason
from ..server.connection import Server, query_failure
from ..server.parallel_work import Task, work_all
from ..sets.manifest import END_OF_ROWS
from .archive_contents import ArchiveContents, TableData, quoted

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection
    from psycopg2.extensions import cursor as Cursor

# As pg_restore sets its sessions (_doSetFixedOutputState of pg_backup_archiver.c), and what a
# role's own settings would make of dates and intervals that are written as pg_dump writes them.
_SETTINGS = (
    "client_encoding = '{encoding}'",
    "standard_conforming_strings = on",
    "search_path = ''",
    "check_function_bodies = off",
    "xmloption = content",
    "client_min_messages = warning",
    "row_security = off",
    "synchronous_commit = off",
    "datestyle = 'ISO'",
    "intervalstyle = 'postgres'",
)
_PIECES = 4  # of a file between the thread that fetches it and the one that loads it
_LOOK_S = 0.1
_BATCH_OBJECTS, _BATCH_BYTES = 1000, 4 * 1024 * 1024
_LARGE_BYTES = 1024 * 1024
_PUT = """
    SELECT pg_catalog.count(pg_catalog.lo_put(o.id, 0, o.content)) FROM ROWS FROM (
        pg_catalog.unnest(%s::pg_catalog.oid[]), pg_catalog.unnest(%s::pg_catalog.bytea[])
    ) AS o(id, content)
"""

Tick = Callable[[int], None]
Rows = dict[str, int]  # of each data file


class DumpFiles(Protocol):
    """Where the files of a directory dump come from; threads may read at the same time."""

    @property
    def sizes(self) -> dict[str, int]:
        """The files of the dump and about how many bytes each has, toc.dat among them."""

    def read(self, name: str) -> bytes:
        """A small file whole."""

    def stream(self, name: str, write: Callable[[bytes], None]) -> None:
        """Give a file's bytes to `write`; raises `OperationError`."""


class _Stopped(Exception):
    """Something else failed: what this was about is of no more interest."""


class RowLoading:
    """All rows of one dump, for one database."""

    def __init__(self, files: DumpFiles, contents: ArchiveContents) -> None:
        self._files = files
        self._contents = contents
        self._rows: Rows = {}
        self.loaded = 0  # bytes so far
        self._lock = threading.Lock()

    def run(self, server: Server, database: str, jobs: int, clock: Clock, tick: Tick) -> Rows:
        """Load everything; the rows that the server says it took, of each data file.

        `tick(bytes)` is called all the time with the bytes that were loaded. Raises what the
        files raise, and by its SQLSTATE what the server says.
        """
        tasks: list[Task] = [self._table(each) for each in self._contents.tables if each.copy]
        tasks += [self._objects(each) for each in self._batches()]
        settings = "; ".join(f"SET {each}" for each in _SETTINGS)
        work_all(
            server,
            database,
            tasks,
            jobs,
            f"load the rows of {database}",
            clock,
            lambda: tick(self.loaded),
            settings.format(encoding=self._contents.encoding),
        )
        return self._rows

    def _count(self, size: int) -> None:
        with self._lock:
            self.loaded += size

    # --- tables -------------------------------------------------------------------------------

    def _table(self, table: TableData) -> Task:
        statement = table.copy
        if table.is_new:
            statement = statement.replace(" FROM stdin;\n", " FROM stdin WITH (FREEZE)")

        def load(connection: Connection, stopped: threading.Event) -> None:
            wanted = f"load the rows of {table.label}"
            with connection.cursor() as cursor, _transaction(cursor, wanted):
                if table.is_new:
                    name = f"{quoted(table.schema)}.{quoted(table.name)}"
                    cursor.execute(_bytes(f"TRUNCATE TABLE ONLY {name}"))
                with _FileOfRows(self._files, table.file, stopped, self._count) as rows:
                    try:
                        cursor.copy_expert(_bytes(statement), cast(Any, rows))
                    except Exception:
                        rows.raise_failure()
                        raise
                count = cursor.rowcount
            with self._lock:
                self._rows[table.file] = count

        return load

    # --- large objects ------------------------------------------------------------------------

    def _batches(self) -> Iterator[list[tuple[int, str]]]:
        """Large objects (oid, file), as many together as one statement may well carry."""
        sizes = self._files.sizes
        batch: list[tuple[int, str]] = []
        size = 0
        for oid, file in self._listed_objects():
            if batch and (len(batch) == _BATCH_OBJECTS or size + sizes[file] > _BATCH_BYTES):
                yield batch
                batch, size = [], 0
            batch.append((oid, file))
            size += sizes[file]
        if batch:
            yield batch

    def _listed_objects(self) -> Iterator[tuple[int, str]]:
        for name in self._contents.object_lists:
            for line in self._files.read(name).decode().splitlines():
                oid, _blank, file = line.partition(" ")
                if not oid.isdigit() or file not in self._files.sizes:
                    raise _missing(f"large object {oid}", file)
                yield int(oid), file

    def _objects(self, batch: Sequence[tuple[int, str]]) -> Task:
        def load(connection: Connection, stopped: threading.Event) -> None:
            wanted = f"load large object {batch[0][0]}"
            small = []
            with connection.cursor() as cursor, _transaction(cursor, wanted):
                for oid, file in batch:
                    if stopped.is_set():
                        raise _Stopped
                    if self._files.sizes[file] > _LARGE_BYTES:
                        self._put_large(cursor, oid, file)
                    else:
                        small.append((oid, self._files.read(file)))
                ids, contents = [oid for oid, _data in small], [data for _oid, data in small]
                cursor.execute(_PUT, [ids, contents])
            self._count(sum(map(len, contents)))

        return load

    def _put_large(self, cursor: Cursor, oid: int, file: str) -> None:
        at = 0

        def put(data: bytes) -> None:
            nonlocal at
            cursor.execute("SELECT pg_catalog.lo_put(%s, %s, %s)", [oid, at, data])
            at += len(data)
            self._count(len(data))

        self._files.stream(file, put)


class _FileOfRows:
    """A table's data file as psycopg2 reads it: its rows, without the line that ends them.

    A thread of its own fetches the file, ahead of the server.
    """

    def __init__(
        self,
        files: DumpFiles,
        name: str,
        stopped: threading.Event,
        count: Callable[[int], None],
    ) -> None:
        self._files = files
        self._name = name
        self._stopped = stopped
        self._count = count
        self._given_up = threading.Event()
        self._pieces: queue.Queue[bytes] = queue.Queue(maxsize=_PIECES)
        self._held = b""  # the last piece may have the end of the rows in it
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._fetch, daemon=True)

    def __enter__(self) -> _FileOfRows:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._given_up.set()
        self._thread.join()

    def read(self, _size: int = -1) -> bytes:
        """The next piece, empty at the end; psycopg2 takes one of any size."""
        while not self._stopped.is_set():
            try:
                piece = self._pieces.get(timeout=_LOOK_S)
            except queue.Empty:
                if self._failure is not None:
                    raise self._failure from None
                continue
            self._count(len(piece))
            return piece
        raise _Stopped

    def raise_failure(self) -> None:
        """What fetching met; psycopg2 makes an error of the server's of it."""
        if self._failure is not None:
            raise self._failure
        if self._stopped.is_set():
            raise _Stopped

    def _fetch(self) -> None:
        try:
            self._files.stream(self._name, self._take)
            if not self._held.endswith(END_OF_ROWS):
                raise _missing("the end of the rows", self._name)
            rest = self._held[: -len(END_OF_ROWS)]
            if rest:
                self._put(rest)
            self._put(b"")
        except BaseException as error:  # handed to the thread that reads
            self._failure = error

    def _take(self, data: bytes) -> None:
        if len(data) < len(END_OF_ROWS):
            self._held += data
            return
        if self._held:
            self._put(self._held)
        self._held = data

    def _put(self, piece: bytes) -> None:
        while not (self._stopped.is_set() or self._given_up.is_set()):
            try:
                return self._pieces.put(piece, timeout=_LOOK_S)
            except queue.Full:
                continue
        raise _Stopped


@contextlib.contextmanager
def _transaction(cursor: Cursor, wanted: str) -> Iterator[None]:
    """All of the block or nothing; a failure says what was `wanted`."""
    import psycopg2

    try:
        cursor.execute("BEGIN")
        yield
        cursor.execute("COMMIT")
    except psycopg2.Error as error:
        raise query_failure(wanted, error) from error


def _bytes(statement: str) -> bytes:
    """As the dump had it, in its own encoding."""
    return statement.encode("utf-8", "surrogateescape")


def _missing(what: str, file: str) -> OperationError:
    return OperationError(
        Reason.INTEGRITY,
        "load what the dump holds",
        f"{what} is not in {file or 'the dump'}",
        "Use another backup; postgres_backup_verify tells which ones are whole",
    )

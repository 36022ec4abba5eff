# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_dump's raw directory format -> pieces -> zstd (-> age) -> repository, in bounded space.

pg_dump writes into a scratch folder; inotify tells which file appears and closes. Its queue is
bounded, and what is lost of it is found by looking into the folder. Pieces are stored while their
file grows, and their blocks are given back with fallocate(PUNCH_HOLE). While the folder holds more
than `FOLDER_BYTES`, pg_dump is stopped.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import threading
from collections import deque
from collections.abc import Container
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from ...core.errors import OperationError, Reason
from ..server.child import Child
from ..sets.manifest import END_OF_ROWS
from ..sets.sealing import compress
from ..sets.set_writer import BigFile, SetWriter

PIECE_BYTES = 2 * 1024 * 1024
# 128 MiB less what two or three connections write until they are stopped.
FOLDER_BYTES = 112 * 1024 * 1024
TOC = "toc.dat"

_TICK_MS = 10
_GATHER_MS = 2  # so that many small files are many events at once, not many looks
_PUNCH_HOLE_KEEP_SIZE = 0x02 | 0x01  # linux/falloc.h
_TABLE_DATA = re.compile(r"\d+\.dat")
_OBJECT_LIST = re.compile(r"blobs(_\d+)?\.toc")  # a line for each large object
_LARGE_OBJECT = re.compile(r"blob_\d+\.dat")
_CREATED, _CLOSED, _OVERFLOW = 0x100, 0x8, 0x4000  # IN_CREATE, IN_CLOSE_WRITE, IN_Q_OVERFLOW
_thread = threading.local()


@dataclass
class _DumpFile:
    """A file in the folder: `taken` bytes of it are on their way.

    One handle serves all its pieces: closing one that can write looks to inotify as if pg_dump
    had closed the file.
    """

    name: str
    path: str
    size: int = 0
    taken: int = 0
    pieces: int = 0
    stream: BigFile | None = None
    stored: int = 0
    closed: bool = False


@dataclass(frozen=True)
class _Piece:
    """`size` bytes at `offset` of a file, and where they go."""

    stream: BigFile
    handle: int
    index: int
    offset: int
    size: int
    last: bool


@dataclass(frozen=True)
class _Done:
    file: _DumpFile
    raw_size: int
    lines: int


@dataclass
class Totals:
    """What has passed: raw bytes, rows of each table's file, lines in lists of large objects."""

    raw_bytes: int
    peak_folder_bytes: int
    rows: dict[str, int]
    listed_objects: int = 0


def is_large_object(name: str) -> bool:
    """Whether a file of a dump is one."""
    return _LARGE_OBJECT.fullmatch(name) is not None


class DumpPipeline:
    """Stores what one pg_dump writes into `folder`, which must be empty and watched from the start.

    Use it as a context manager around the life of pg_dump. Raises `precondition` where the
    folder's filesystem cannot give blocks back, and `missing_library`.
    """

    def __init__(self, folder: Path, writer: SetWriter, workers: int) -> None:
        self._folder = folder.resolve()
        self._writer = writer
        self._open: dict[str, _DumpFile] = {}
        self._closed: set[str] = set()  # those that are on their way and still in the folder
        self._handles: dict[str, int] = {}
        self._jobs: deque[Future[_Done]] = deque()
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="backup")
        self._written = 0
        self.totals = Totals(0, 0, {})
        require_punch_hole(folder)
        self._watch = _watch(folder)

    def close(self) -> None:
        """Let the threads end; what they still had to do is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        for handle in self._handles.values():
            os.close(handle)
        self._watch.close()

    def run(self, dump: Child, on_tick: Callable[[Totals], None]) -> int:
        """Store everything until pg_dump has ended and all is stored; returns its exit code.

        `on_tick` is called a hundred times a second. Raises what storing met.
        """
        code: int | None = None
        while code is None or self._jobs:
            ended = dump.poll()  # before looking: what it wrote until then will be seen
            if self._look(ended is not None):
                self._look_into_folder(dump.open_files())
            if ended is not None and code is None:
                self._look_into_folder(frozenset())
            if ended is not None and self._jobs:
                wait([self._jobs[0]], timeout=_TICK_MS / 1000)
            self._collect()
            self._hold_back(dump)
            code = ended
            if code not in (None, 0):
                return code
            on_tick(self.totals)
        return code

    def _look(self, ended: bool) -> bool:
        """Take what events tell; whether some were lost."""
        lost = False
        for event in self._events(ended):
            if event.mask & _OVERFLOW:
                lost = True
            elif event.mask & _CREATED:
                self._appeared(event.name)
            else:
                self._ended(event.name)
        for file in list(self._open.values()):
            self._take(file, closed=False)
        return lost

    def _look_into_folder(self, written: Container[str]) -> None:
        """Take what is there; who still writes is in `written`, as paths."""
        for name in os.listdir(self._folder):
            self._appeared(name)
        for file in list(self._open.values()):
            if file.path not in written:
                self._ended(file.name)

    def _appeared(self, name: str) -> None:
        path = str(self._folder / name)
        # However large, the table of contents is read whole once pg_dump has ended. What is told
        # late may be stored already.
        known = name == TOC or name in self._open or name in self._closed
        if not known and os.path.exists(path):
            self._open[name] = _DumpFile(name, path)

    def _ended(self, name: str) -> None:
        if name in self._open:
            self._closed.add(name)
            self._take(self._open.pop(name), closed=True)

    def _events(self, ended: bool) -> Any:
        if ended:
            return self._watch.read(timeout=0)
        return self._watch.read(timeout=_TICK_MS, read_delay=_GATHER_MS)

    def _take(self, file: _DumpFile, closed: bool) -> None:
        """Send what has been written since to the threads."""
        size = os.stat(file.path).st_size
        self._written += size - file.size
        file.size, file.closed = size, closed
        if closed and file.stream is None and size <= PIECE_BYTES:
            self._submit(self._store_small, file)
            return
        # The terminator stays within the last piece.
        while size - file.taken >= PIECE_BYTES + len(END_OF_ROWS):
            self._piece(file, PIECE_BYTES, last=False)
        if closed:
            self._piece(file, size - file.taken, last=True)

    def _piece(self, file: _DumpFile, size: int, last: bool) -> None:
        if file.stream is None:
            file.stream = self._writer.big_file(file.name)
            self._handles[file.name] = os.open(file.path, os.O_RDWR | os.O_CLOEXEC)
        piece = _Piece(file.stream, self._handles[file.name], file.pieces, file.taken, size, last)
        self._submit(self._store_piece, file, piece)
        file.pieces += 1
        file.taken += size

    def _submit(self, work: Callable[..., _Done], *arguments: Any) -> None:
        self._jobs.append(self._pool.submit(work, *arguments))

    def _collect(self) -> None:
        while self._jobs and self._jobs[0].done():
            done = self._jobs.popleft().result()
            name = done.file.name
            self.totals.raw_bytes += done.raw_size
            if _TABLE_DATA.fullmatch(name):
                rows = self.totals.rows
                rows[name] = rows.get(name, 0) + done.lines
            elif _OBJECT_LIST.fullmatch(name):
                self.totals.listed_objects += done.lines
            done.file.stored += done.raw_size
            if done.file.closed and done.file.stored == done.file.size:
                self._closed.discard(name)
                if name in self._handles:
                    os.close(self._handles.pop(name))

    def _hold_back(self, dump: Child) -> None:
        held = self._written - self.totals.raw_bytes
        self.totals.peak_folder_bytes = max(self.totals.peak_folder_bytes, held)
        if held > FOLDER_BYTES:
            dump.pause()
        elif held < FOLDER_BYTES // 2:
            dump.resume()

    def _store_small(self, file: _DumpFile) -> _Done:
        with open(file.path, "rb") as opened:
            raw = opened.read()
        os.unlink(file.path)
        self._writer.add_small(file.name, raw)
        return _Done(file, len(raw), _lines(file.name, raw, len(raw), last=True))

    def _store_piece(self, file: _DumpFile, piece: _Piece) -> _Done:
        buffer, size = _buffer(), piece.size
        _read_into(piece.handle, buffer, piece.offset, size)
        punch_hole(piece.handle, piece.offset, size)
        if piece.last:
            os.unlink(file.path)
        lines = _lines(file.name, buffer, size, piece.last)
        with memoryview(buffer) as view:
            frame = compress(view[:size], self._writer.level)
        piece.stream.put(piece.index, frame, size, piece.last)
        return _Done(file, size, lines)


def _lines(name: str, data: bytes | bytearray, size: int, last: bool) -> int:
    """Lines in a piece of a file that has some: of a table's, without the three that end it."""
    if is_large_object(name):
        return 0
    lines = data.count(b"\n", 0, size)
    if not last or not _TABLE_DATA.fullmatch(name):
        return lines
    if not data.endswith(END_OF_ROWS, 0, size):
        raise OperationError(
            Reason.INTEGRITY,
            f"store {name} of the dump",
            "it does not end as the data of a table does",
            "Run this again; if it fails the same way, report it with the version of pg_dump",
        )
    return lines - END_OF_ROWS.count(b"\n")


def _buffer() -> bytearray:
    """This thread's own: a fresh one each time would cost its page faults."""
    buffer: bytearray | None = getattr(_thread, "buffer", None)
    if buffer is None:
        buffer = _thread.buffer = bytearray(PIECE_BYTES + len(END_OF_ROWS))
    return buffer


def _read_into(handle: int, buffer: bytearray, offset: int, size: int) -> None:
    done = 0
    with memoryview(buffer) as view:
        while done < size:
            count = os.preadv(handle, [view[done:size]], offset + done)
            if count == 0:
                raise OSError(errno.EIO, "the file became shorter while it was read")
            done += count


def _libc_fallocate() -> Any:
    function = ctypes.CDLL(None, use_errno=True).fallocate
    function.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    return function


_fallocate = _libc_fallocate()


def punch_hole(handle: int, offset: int, size: int) -> None:
    """Give back the blocks of this range; its file keeps its size."""
    if size and _fallocate(handle, _PUNCH_HOLE_KEEP_SIZE, offset, size) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def require_punch_hole(folder: Path) -> None:
    """`precondition` where the folder's filesystem cannot give blocks back."""
    handle = os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600)
    try:
        os.ftruncate(handle, 4096)
        punch_hole(handle, 0, 4096)
    except OSError as error:
        raise OperationError(
            Reason.PRECONDITION,
            "use the scratch folder",
            f"the filesystem of {folder} cannot give blocks of a file back ({error.strerror})",
            "Give in scratch a folder on ext4, XFS, Btrfs or tmpfs",
        ) from error
    finally:
        os.close(handle)


def _watch(folder: Path) -> Any:
    try:
        import inotify_simple
    except ImportError as error:
        raise OperationError(
            Reason.MISSING_LIBRARY,
            "watch the scratch folder",
            "the Python library inotify_simple is not installed here",
            "Install inotify_simple for the Python that runs this",
        ) from error
    watch = inotify_simple.INotify()
    watch.add_watch(str(folder), _CREATED | _CLOSED)
    return watch

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every byte of a backup read back and compared with its manifest, in one pass per object.

The sizes of the objects, and of each file its size and SHA-256. Where the files can be opened
also their own sizes, and the rows of the tables: a row is one line of a table's file.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Callable

from ...core.errors import OperationError, Reason
from ...repository import NoSuchObject, Reader, Repository
from .layout import Layout
from .manifest import END_OF_ROWS, Manifest, StoredFile
from .sealing import DamagedBytes, WrongKey, unseal

_READ_BYTES = 1024 * 1024
_TICK_S = 0.5
_LINES_AFTER_ROWS = END_OF_ROWS.count(b"\n")


@dataclass(frozen=True)
class Problem:
    """What is wrong with an object, or with one file in it; `object` is the whole key."""

    object: str
    file: str | None
    seen: str

    def __str__(self) -> str:
        what = f"file {self.file} in object" if self.file else "object"
        return f"{what} {self.object}: {self.seen}"


class _Stopped(Exception):
    """Another thread failed, or the run was cancelled."""


class SetCheck:
    """The check of one backup."""

    def __init__(
        self, repository: Repository, manifest: Manifest, identities: Sequence[Any] | None
    ) -> None:
        """Without `identities` an encrypted backup's files are compared as they are stored."""
        self._repository = repository
        self._manifest = manifest
        self._layout = Layout(manifest.database)
        self._identities = identities if manifest.recipients else None
        self.opens_files = not manifest.recipients or identities is not None
        self._rows = {table.file: table.rows for table in manifest.tables}
        self._stop = threading.Event()
        self._count = threading.Lock()
        self.read_bytes = 0

    def run(self, jobs: int, tick: Callable[[], None]) -> list[Problem]:
        """The problems, sorted; reads `jobs` objects at a time, and calls `tick` meanwhile.

        Raises what the repository raises, and `auth` when no identity opens the backup.
        """
        by_object: dict[str, list[StoredFile]] = {}
        for file in [*self._manifest.files, self._manifest.roles]:
            by_object.setdefault(file.object, []).append(file)
        stored = self._stored_sizes()
        problems = []
        pool = ThreadPoolExecutor(jobs)
        try:
            largest_first = sorted(by_object, key=lambda name: stored.get(name, 0), reverse=True)
            pending = {
                pool.submit(self._check_object, name, by_object[name], stored.get(name))
                for name in largest_first
            }
            while pending:
                done, pending = wait(pending, _TICK_S, FIRST_EXCEPTION)
                for each in done:
                    problems += each.result()
                tick()
        finally:
            self._stop.set()
            pool.shutdown(cancel_futures=True)
        return sorted(problems, key=lambda each: (each.object, each.file or ""))

    def _stored_sizes(self) -> dict[str, int]:
        folder = self._layout.set(self._manifest.id)
        return {each.key[len(folder) :]: each.size for each in self._repository.list(folder)}

    def _check_object(
        self, name: str, files: list[StoredFile], stored: int | None
    ) -> list[Problem]:
        key = self._layout.set(self._manifest.id) + name
        if stored is None:
            return [Problem(key, None, "it is not there")]
        problems = []
        end = max(file.offset + file.size for file in files)
        if stored != end:
            problems.append(Problem(key, None, f"it has {stored} bytes, not {end}"))
        try:
            with self._repository.open(key) as reader:
                problems += self._check_extents(key, reader, files)
        except NoSuchObject:
            return [Problem(key, None, "it is not there")]
        return problems

    def _check_extents(self, key: str, reader: Reader, files: list[StoredFile]) -> list[Problem]:
        problems = []
        position = 0
        for file in sorted(files, key=lambda file: (file.offset, file.size)):
            if file.offset < position:
                problems.append(Problem(key, file.name, "it overlaps the file before it"))
                continue
            if file.offset > position:
                seen = f"bytes {position} to {file.offset} belong to no file"
                problems.append(Problem(key, None, seen))
                _Extent(reader, file.offset - position, self._passed).drain()
            seen = self._check_file(file, _Extent(reader, file.size, self._passed))
            if seen:
                problems.append(Problem(key, file.name, seen))
            position = file.offset + file.size
        return problems

    def _check_file(self, file: StoredFile, extent: _Extent) -> str:
        """What is wrong with a file; empty where nothing is."""
        content = _Content()
        seen = ""
        try:
            if self.opens_files:
                unseal(extent, self._identities, content.write)
        except DamagedBytes as error:
            seen = str(error)
        except WrongKey as error:
            raise OperationError(
                Reason.AUTH,
                f"read {file.name} of backup {self._manifest.id}",
                str(error),
                f"Give the private key of one of {', '.join(self._manifest.recipients)}, or none,"
                " to compare the files as they are stored",
            ) from error
        extent.drain()
        if extent.size != file.size:
            return f"it has {extent.size} of {file.size} bytes"
        if extent.sha256 != file.sha256:
            return "its SHA-256 is not the manifest's"
        if seen or not self.opens_files:
            return seen
        return self._check_content(file, content)

    def _check_content(self, file: StoredFile, content: _Content) -> str:
        if content.size != file.raw_size:
            return f"it gives {content.size} bytes where the dump had {file.raw_size}"
        rows = self._rows.get(file.name)
        if rows is not None and content.lines - _LINES_AFTER_ROWS != rows:
            return f"it has {content.lines - _LINES_AFTER_ROWS} rows where the table had {rows}"
        return ""

    def _passed(self, size: int) -> None:
        if self._stop.is_set():
            raise _Stopped
        with self._count:
            self.read_bytes += size


class _Extent:
    """The next `length` bytes of an object, counted and hashed as they pass."""

    def __init__(self, reader: Reader, length: int, passed: Callable[[int], None]) -> None:
        self._reader = reader
        self._left = length
        self._passed = passed
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def read(self, size: int) -> bytes:
        data = self._reader.read(min(size, self._left)) if self._left else b""
        self._passed(len(data))
        self._hash.update(data)
        self._left -= len(data)
        self.size += len(data)
        return data

    def drain(self) -> None:
        """Read what is left of it."""
        while self.read(_READ_BYTES):
            pass


class _Content:
    """A file's own bytes and lines, counted."""

    def __init__(self) -> None:
        self.size = 0
        self.lines = 0

    def write(self, data: bytes) -> None:
        self.size += len(data)
        self.lines += data.count(b"\n")

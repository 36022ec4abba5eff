# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository that is a folder: an object is a file, and appears by a rename."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

from ..core.errors import OperationError, Reason
from ..core.state_store import ANY, Entry, FileStateStore, folder_failure
from .keys import require_folder, require_key
from .protocol import NoSuchObject, Reader, StoredObject, Upload

# A hidden file beside its object's place; what else is hidden belongs to FileStateStore.
_UNFINISHED = ".upload"


class FileRepository:
    """Objects are files of mode 0600 in folders of mode 0700; small ones are written as state is.

    A file system protects no object: `protection_of` is always empty.
    """

    def __init__(self, folder: Path) -> None:
        self.url = "file://" + quote(str(folder))
        self._folder = folder
        self._entries = FileStateStore(folder, f"the repository {self.url}")

    def read(self, key: str) -> Entry:
        entry = self._entries.read(require_key(key))
        if entry is None:
            raise NoSuchObject(key)
        return entry

    @contextlib.contextmanager
    def open(self, key: str, offset: int = 0, size: int | None = None) -> Iterator[Reader]:
        wanted = f"read {key} in {self.url}"
        try:
            handle = os.open(self._folder / require_key(key), os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            if self._is_absence(error):
                raise NoSuchObject(key) from None
            raise folder_failure(wanted, self._folder, error) from error
        try:
            yield _FileReader(handle, offset, size, wanted, self._folder)
        finally:
            os.close(handle)

    def write(self, key: str, data: bytes, expect: str = ANY) -> str:
        return self._entries.write(require_key(key), data, expect)

    def upload(self, key: str) -> Upload:
        path = self._folder / require_key(key)
        wanted = f"write {key} to {self.url}"
        try:
            with self._entries.exclusive():  # or `delete` may remove the folder just made
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                handle, temporary = tempfile.mkstemp(
                    dir=path.parent, prefix=".", suffix=_UNFINISHED
                )
        except OSError as error:
            raise folder_failure(wanted, self._folder, error) from error
        return _FileUpload(handle, Path(temporary), path, wanted, self._folder)

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        folder = prefix.rpartition("/")[0]
        try:
            found = [
                each
                for each in self._files(require_folder(f"{folder}/" if folder else ""))
                if each.key.startswith(prefix)
            ]
        except OSError as error:
            raise folder_failure(f"list {self.url}", self._folder, error) from error
        return iter(sorted(found, key=lambda each: each.key))

    def list_folders(self, prefix: str) -> Iterator[str]:
        try:
            names = [
                each.name
                for each in self._scan(require_folder(prefix))
                if each.is_dir() and any(True for _file in self._files(f"{prefix}{each.name}/"))
            ]
        except OSError as error:
            raise folder_failure(f"list {self.url}", self._folder, error) from error
        return iter(sorted(names))

    def delete(self, keys: Iterable[str]) -> int:
        paths = [self._folder / require_key(key) for key in keys]
        try:
            with self._entries.exclusive():
                for path in paths:
                    with contextlib.suppress(FileNotFoundError):
                        path.unlink()
                for folder in {path.parent for path in paths}:
                    self._remove_empty(folder)
        except OSError as error:
            raise folder_failure(f"delete from {self.url}", self._folder, error) from error
        return len(paths)

    def delete_version(self, key: str, version: str) -> None:
        self._entries.delete(require_key(key), version)

    def unfinished_uploads(self, prefix: str) -> int:
        return sum(1 for _path in self._unfinished(prefix))

    def abort_uploads(self, prefix: str) -> int:
        aborted = 0
        try:
            for path in self._unfinished(prefix):
                os.unlink(path)
                aborted += 1
        except OSError as error:
            raise folder_failure(f"clean up {self.url}", self._folder, error) from error
        return aborted

    def protection_of(self, key: str) -> str:
        require_key(key)
        return ""

    def close(self) -> None:
        """Nothing is open between calls."""

    def _unfinished(self, prefix: str) -> Iterator[str]:
        """What uploads that have not ended, or never will, have written so far."""
        for folder, _folders, names in os.walk(self._folder / require_folder(prefix)):
            for name in names:
                if name.startswith(".") and name.endswith(_UNFINISHED):
                    yield os.path.join(folder, name)

    def _scan(self, prefix: str) -> Iterator[os.DirEntry[str]]:
        """What is in the folder and not hidden."""
        try:
            with os.scandir(self._folder / prefix) as entries:
                yield from (entry for entry in entries if not entry.name.startswith("."))
        except OSError as error:
            if not self._is_absence(error):
                raise

    def _is_absence(self, error: OSError) -> bool:
        """Whether there is just nothing; an object has nothing below it, as in S3."""
        if isinstance(error, NotADirectoryError):
            return self._folder.is_dir()
        return isinstance(error, FileNotFoundError)

    def _files(self, prefix: str) -> Iterator[StoredObject]:
        for entry in self._scan(prefix):
            key = prefix + entry.name
            if entry.is_dir():
                yield from self._files(f"{key}/")
                continue
            with contextlib.suppress(FileNotFoundError):  # removed since
                marks = entry.stat()
                version = f"{marks.st_mtime_ns:x}-{marks.st_size:x}-{marks.st_ino:x}"
                yield StoredObject(key, marks.st_size, marks.st_mtime, version)

    def _remove_empty(self, folder: Path) -> None:
        """Remove the folder and those above it that hold nothing; in S3 they are gone too."""
        with contextlib.suppress(OSError):
            while folder != self._folder:
                folder.rmdir()
                folder = folder.parent


class _FileReader:
    def __init__(
        self, handle: int, offset: int, size: int | None, wanted: str, folder: Path
    ) -> None:
        self._handle = handle
        self._position = offset
        self._end = None if size is None else offset + size
        self._wanted = wanted
        self._folder = folder

    def read(self, size: int) -> bytes:
        if self._end is not None:
            size = min(size, self._end - self._position)
        try:
            data = os.pread(self._handle, size, self._position)
        except OSError as error:
            raise folder_failure(self._wanted, self._folder, error) from error
        self._position += len(data)
        return data


class _FileUpload:
    def __init__(self, handle: int, temporary: Path, path: Path, wanted: str, folder: Path) -> None:
        self._handle: int | None = handle
        self._temporary = temporary
        self._path = path
        self._wanted = wanted
        self._folder = folder

    def _opened(self) -> int:
        if self._handle is None:
            raise OperationError(
                Reason.CANCELLED, self._wanted, "the upload was ended", "Run this again"
            )
        return self._handle

    def write(self, part: bytes | bytearray) -> None:
        handle = self._opened()
        rest = memoryview(part)
        try:
            while rest:
                rest = rest[os.write(handle, rest) :]
        except OSError as error:
            raise self._failure(error) from error

    def commit(self) -> None:
        handle = self._opened()
        try:
            os.fsync(handle)
            os.replace(self._temporary, self._path)
            _sync_folder(self._path.parent)
        except OSError as error:
            raise self._failure(error) from error
        self._close()

    def abort(self) -> None:
        if self._handle is None:
            return
        self._close()
        with contextlib.suppress(OSError):
            self._temporary.unlink()

    def _close(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            with contextlib.suppress(OSError):  # what was written is synced or unwanted
                os.close(handle)

    def _failure(self, error: OSError) -> OperationError:
        return folder_failure(self._wanted, self._folder, error)


def _sync_folder(folder: Path) -> None:
    """Have the rename on disk: the manifest that names this object is written after it."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

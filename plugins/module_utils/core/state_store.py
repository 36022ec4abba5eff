# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where locks, intent, incidents and history live, and the kind that is a folder.

Entries are bytes under keys like `locks/cost-agent`. A write can demand the version that it
replaces, so two writers never overwrite each other unseen. The `repository` area opens a store by
its URL.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .errors import OperationError, Reason
from .readable import size_text

ANY = "any"
ABSENT = "absent"


@dataclass(frozen=True)
class Entry:
    """A stored value and the version to demand when replacing it."""

    data: bytes
    version: str


class VersionConflict(Exception):
    """The entry is not the version that the writer expected."""


class StateStore(Protocol):
    """What every kind of state store can do."""

    def read(self, key: str) -> Entry | None:
        """The entry, or None."""

    def write(self, key: str, data: bytes, expect: str = ANY) -> str:
        """Replace the entry and return its version; `VersionConflict` unless as expected."""

    def delete(self, key: str, expect: str = ANY) -> None:
        """Remove the entry if it is there; `VersionConflict` unless as expected."""

    def list(self, prefix: str) -> list[str]:
        """The keys below the prefix, sorted."""


class FileStateStore:
    """A folder: one file an entry, replaced by rename, versions from the content's hash.

    `called` is what messages call it.
    """

    def __init__(self, folder: Path, called: str = "the state store") -> None:
        self._folder = folder
        self._called = called

    def read(self, key: str) -> Entry | None:
        try:
            data = self._path(key).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._cannot("read", error) from error
        return Entry(data, _version(data))

    def write(self, key: str, data: bytes, expect: str = ANY) -> str:
        path = self._path(key)
        try:
            with self.exclusive():
                self._check(key, expect)
                write_atomically(path, data)
        except OSError as error:
            raise self._cannot("write to", error) from error
        return _version(data)

    def delete(self, key: str, expect: str = ANY) -> None:
        try:
            with self.exclusive():
                self._check(key, expect)
                with contextlib.suppress(FileNotFoundError):
                    self._path(key).unlink()
        except OSError as error:
            raise self._cannot("delete from", error) from error

    def list(self, prefix: str) -> list[str]:
        root = str(self._path(prefix) if prefix else self._folder)
        below = len(str(self._folder)) + 1
        keys = []
        for folder, _folders, names in os.walk(root):
            keys += [f"{folder}/{name}"[below:] for name in names if not name.startswith(".")]
        return sorted(keys)

    def _path(self, key: str) -> Path:
        if not key or any(part in ("", ".", "..") for part in key.split("/")):
            raise ValueError(f"not a state store key: {key!r}")
        return self._folder / key

    def _check(self, key: str, expect: str) -> None:
        if expect == ANY:
            return
        entry = self.read(key)
        if (entry.version if entry else ABSENT) != expect:
            raise VersionConflict(key)

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep other writers out between a check and its write, for that moment only."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(self._folder / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _cannot(self, verb: str, error: OSError) -> OperationError:
        return folder_failure(f"{verb} {self._called}", self._folder, error)


def folder_failure(wanted: str, folder: Path, error: OSError) -> OperationError:
    """The error for what reading or writing below `folder` met.

    `budget` for a full disk or quota, `unreachable` for one that does not answer, else
    `precondition`.
    """
    seen = f"{error.filename or folder}: {error.strerror}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = ""
        with contextlib.suppress(OSError):
            disk = os.statvfs(folder)
            free = f", with {size_text(disk.f_bavail * disk.f_frsize)} free"
        return OperationError(
            Reason.BUDGET, wanted, seen + free, f"Make room on the disk of {folder}"
        )
    if error.errno in (errno.EIO, errno.ESTALE, errno.ETIMEDOUT):
        return OperationError(
            Reason.UNREACHABLE, wanted, seen, "See the kernel's log: the disk does not answer"
        )
    return OperationError(
        Reason.PRECONDITION, wanted, seen, f"Make {folder} a folder that this user can write"
    )


def write_atomically(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace a file so that readers see the old or the new content, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _version(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

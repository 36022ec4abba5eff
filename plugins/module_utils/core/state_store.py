# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where locks, intent, incidents and history live: `file:///folder`.

Entries are bytes under keys like `locks/cost-agent`. A write can demand the version that it
replaces, so two writers never overwrite each other unseen.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote

from .errors import OperationError, Reason

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


def open_state_store(url: str) -> StateStore:
    """The store at `url`; `invalid_input` unless it is `file:///folder`."""
    scheme, _colon, rest = url.partition("://")
    folder = unquote(rest)
    if scheme != "file" or not folder.startswith("/") or "\0" in folder:
        raise OperationError(
            Reason.INVALID_INPUT,
            "open the state store",
            f"{url!r} is not of the form file:///folder",
            "Give an absolute folder, for example file:///var/lib/cost-agent/state",
        )
    return FileStateStore(Path(folder))


class FileStateStore:
    """A folder: one file an entry, replaced by rename, versions from the content's hash."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

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
            with self._exclusive():
                self._check(key, expect)
                write_atomically(path, data)
        except OSError as error:
            raise self._cannot("write to", error) from error
        return _version(data)

    def delete(self, key: str, expect: str = ANY) -> None:
        try:
            with self._exclusive():
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
    def _exclusive(self) -> Iterator[None]:
        """Keep other writers out between a check and its write, for that moment only."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(self._folder / ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _cannot(self, verb: str, error: OSError) -> OperationError:
        return OperationError(
            Reason.PRECONDITION,
            f"{verb} the state store",
            f"{error.filename or self._folder}: {error.strerror}",
            f"Make {self._folder} a folder that this user can write",
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

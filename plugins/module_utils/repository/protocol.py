# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every kind of repository can do: objects of bytes under keys like `cost_agent/a.zst`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from ..core.state_store import ANY, Entry


@dataclass(frozen=True)
class StoredObject:
    """An object as a listing shows it; `modified_at` is in seconds since the epoch.

    `version` changes with the content (an ETag, or a file's own marks). Compare it with that of
    another listing only.
    """

    key: str
    size: int
    modified_at: float
    version: str


class NoSuchObject(Exception):
    """There is no object under this key."""


class Reader(Protocol):
    """An object, or a part of one, being read; resumes by itself after a lost connection."""

    def read(self, size: int) -> bytes:
        """At most `size` bytes, empty at the end."""


class Upload(Protocol):
    """An object being written: nobody sees it before `commit`."""

    def write(self, part: bytes | bytearray) -> None:
        """Store the next part, whose owner it becomes; returns when there is room for one more.

        Every part but the last has at least `MIN_PART` bytes. Raises what an earlier part met.
        """

    def commit(self) -> None:
        """Wait for all parts and make the object appear whole."""

    def abort(self) -> None:
        """Leave nothing behind; does nothing after `commit`. Never raises."""


MIN_PART = 5 * 1024 * 1024  # S3's own: "Amazon S3 multipart upload limits"
MAX_PARTS = 10_000


class Repository(Protocol):
    """A place for backups, at `url`, without credentials in it.

    A key is names with / between them, none empty or beginning with a dot; another one is
    `invalid_input`. Everything raises `OperationError` whose sentences name the repository:
    `unreachable`, `auth`, `timeout`, `precondition`, `integrity`, `budget` (storage is full).
    One may be used from several threads.
    """

    url: str

    def read(self, key: str) -> Entry:
        """A small object whole; `NoSuchObject` where there is none."""

    def open(
        self, key: str, offset: int = 0, size: int | None = None
    ) -> AbstractContextManager[Reader]:
        """Read an object, or `size` bytes of it from `offset`, as a stream; `NoSuchObject`.

        A shorter object ends earlier.
        """

    def write(self, key: str, data: bytes, expect: str = ANY) -> str:
        """Store a small object at once and return its version.

        `core.state_store.VersionConflict` unless what it replaces is as expected.
        """

    def upload(self, key: str) -> Upload:
        """Begin to write an object of unknown size."""

    def list(self, prefix: str = "") -> Iterator[StoredObject]:
        """The objects whose keys begin with the prefix, by key."""

    def list_folders(self, prefix: str) -> Iterator[str]:
        """The names from the prefix (empty, or ending in /) to the next /, sorted, once each.

        Some servers go on to name a folder after its last object was deleted.
        """

    def delete(self, keys: Iterable[str]) -> int:
        """Remove objects in as few requests as possible; returns how many keys there were.

        One that is missing is as good as removed.
        """

    def delete_version(self, key: str, version: str) -> None:
        """Remove an object that `write` made; `VersionConflict` unless it has this version."""

    def unfinished_uploads(self, prefix: str) -> int:
        """How many uploads below the prefix have begun and not ended; `abort_uploads` ends them."""

    def abort_uploads(self, prefix: str) -> int:
        """End what unfinished uploads below the prefix have left; returns how many there were."""

    def protection_of(self, key: str) -> str:
        """Why the store keeps this object from being removed, in words; empty when it does not.

        Such as "a legal hold" or "an object lock until 2026-01-01T00:00:00Z".
        """

    def close(self) -> None:
        """Give its connections back."""

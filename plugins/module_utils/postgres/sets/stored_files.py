# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of one backup, read back from a repository and checked on the way."""

from __future__ import annotations

import hashlib
import io
import threading
from collections import Counter, OrderedDict
from collections.abc import Sequence
from typing import Any, Callable

from ...core.errors import OperationError, Reason
from ...repository import NoSuchObject, Repository
from .layout import Layout
from .manifest import Manifest, StoredFile
from .sealing import ByteSource, DamagedBytes, WrongKey, unseal

_READ_BYTES = 1024 * 1024
_SHARED_OBJECT_BYTES = 32 * 1024 * 1024
_CACHE_BYTES = 64 * 1024 * 1024

Write = Callable[[bytes], Any]


class StoredFiles:
    """What a manifest names, each file by its name; threads may read at the same time.

    Everything raises `integrity` (naming object and file) for bytes that are not those that the
    backup stored, `auth` for a key that does not open them, and what the repository raises.
    """

    def __init__(
        self, repository: Repository, manifest: Manifest, identities: Sequence[Any] | None
    ) -> None:
        """`identities` is None where the backup is not encrypted."""
        self._repository = repository
        self._manifest = manifest
        self._folder = Layout(manifest.database).set(manifest.id)
        self._identities = identities
        self._files = {file.name: file for file in [*manifest.files, manifest.roles]}
        self._shared = _SharedObjects(self._fetch, manifest)

    @property
    def sizes(self) -> dict[str, int]:
        """The files of the dump, and how many bytes each has."""
        return {file.name: file.raw_size for file in self._manifest.files}

    def read(self, name: str) -> bytes:
        """A small file whole."""
        pieces: list[bytes] = []
        self.stream(name, pieces.append)
        return b"".join(pieces)

    def stream(self, name: str, write: Write) -> None:
        """Give a file's bytes to `write` in bounded memory.

        What is wrong with them may show only after the last byte was given.
        """
        file = self._files[name]
        try:
            shared = self._shared.of(file)
            if shared is not None:
                self._unseal(file, io.BytesIO(shared), write)
                return
            key = self._folder + file.object
            with self._repository.open(key, file.offset, file.size) as reader:
                self._unseal(file, reader, write)
        except NoSuchObject as error:
            raise self._damaged(file, "it is not there") from error
        except DamagedBytes as error:
            raise self._damaged(file, str(error)) from error
        except WrongKey as error:
            raise OperationError(
                Reason.AUTH,
                self._wanted(file),
                str(error),
                f"Give the private key of one of {', '.join(self._manifest.recipients)}",
            ) from error

    def _unseal(self, file: StoredFile, source: ByteSource, write: Write) -> None:
        stored = _Hashed(source)
        raw = _Counted(write)
        unseal(stored, self._identities, raw.write)
        if stored.size != file.size:
            raise DamagedBytes(f"it has {stored.size} of {file.size} bytes")
        if stored.sha256 != file.sha256:
            raise DamagedBytes("its SHA-256 is not the manifest's")
        if raw.size != file.raw_size:
            raise DamagedBytes(f"it gives {raw.size} bytes where the dump had {file.raw_size}")

    def _fetch(self, object_name: str) -> bytes:
        pieces = []
        with self._repository.open(self._folder + object_name) as reader:
            while piece := reader.read(_READ_BYTES):
                pieces.append(piece)
        return b"".join(pieces)

    def _wanted(self, file: StoredFile) -> str:
        return f"read {file.name} of backup {self._manifest.id}"

    def _damaged(self, file: StoredFile, seen: str) -> OperationError:
        return OperationError(
            Reason.INTEGRITY,
            self._wanted(file),
            f"object {self._folder}{file.object} in {self._repository.url}: {seen}",
            "Use another backup; postgres_backup_verify tells which ones are whole",
            state={"backup": self._manifest.id, "object": self._folder + file.object},
        )


class _Hashed:
    """A source whose bytes are counted and hashed as they pass."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def read(self, size: int) -> bytes:
        data = self._source.read(size)
        self._hash.update(data)
        self.size += len(data)
        return data


class _Counted:
    """A sink whose bytes are counted."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self.size = 0

    def write(self, data: bytes) -> None:
        self.size += len(data)
        self._write(data)


class _SharedObjects:
    """Objects that hold many small files, whole in memory, the last used ones.

    So ten thousand small files are not ten thousand requests.
    """

    def __init__(self, fetch: Callable[[str], bytes], manifest: Manifest) -> None:
        files = [*manifest.files, manifest.roles]
        holds = Counter(file.object for file in files)
        sizes: dict[str, int] = {}
        for file in files:
            sizes[file.object] = max(sizes.get(file.object, 0), file.offset + file.size)
        self._names = {
            name
            for name, count in holds.items()
            if count > 1 and sizes[name] <= _SHARED_OBJECT_BYTES
        }
        self._fetch = fetch
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, file: StoredFile) -> bytes | None:
        """The stored bytes of a file in a shared object; None for one in an object of its own."""
        if file.object not in self._names:
            return None
        with self._lock:
            if file.object not in self._kept:
                self._make_room()
                self._kept[file.object] = self._fetch(file.object)
            self._kept.move_to_end(file.object)
            return self._kept[file.object][file.offset : file.offset + file.size]

    def _make_room(self) -> None:
        while sum(map(len, self._kept.values())) > _CACHE_BYTES - _SHARED_OBJECT_BYTES:
            self._kept.popitem(last=False)

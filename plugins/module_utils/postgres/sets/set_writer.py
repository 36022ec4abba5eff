# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the data objects of one backup: a big file is an object, small files share bundles.

Every method may be called from any thread.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from typing import Any

from ...core.clock import Clock
from ...repository import Repository, Upload
from .manifest import StoredFile
from .sealing import Encryptor, seal

# A bundle is what a restore reads at once for one small file in it.
BUNDLE_BYTES = 16 * 1024 * 1024
# A server has up to 30 % less work with parts of 8 MiB than with the smallest that S3 allows.
_PART_BYTES = 8 * 1024 * 1024
# S3 takes 10,000 parts: 80 GB of these. From 16 GB on they grow with what is written, and 8,000
# further parts of 1/2000 each make e^4 times as much, 900 GB.
_PARTS_BEFORE_GROWTH = 2000


class RateLimit:
    """Keeps all uploads together below `bytes_per_s`; None is no limit."""

    def __init__(self, bytes_per_s: float | None, clock: Clock) -> None:
        self._bytes_per_s = bytes_per_s
        self._clock = clock
        self._free_at = 0.0
        self._lock = threading.Lock()

    def take(self, size: int) -> None:
        """Sleep until `size` more bytes may go."""
        if self._bytes_per_s is None:
            return
        with self._lock:
            now = self._clock.monotonic()
            begin = max(now, self._free_at)
            self._free_at = begin + size / self._bytes_per_s
        self._clock.sleep(begin - now)


class _Parts:
    """Bytes in their order, sent as the parts of one upload."""

    def __init__(self, upload: Upload, rate: RateLimit) -> None:
        self._upload = upload
        self._rate = rate
        self._part = bytearray()
        self.size = 0

    def write(self, data: bytes) -> None:
        self._part += data
        self.size += len(data)
        if len(self._part) >= max(_PART_BYTES, self.size // _PARTS_BEFORE_GROWTH):
            self._send()

    def _send(self) -> None:
        part, self._part = self._part, bytearray()
        self._rate.take(len(part))
        self._upload.write(part)

    def finish(self) -> None:
        if self._part:
            self._send()
        self._upload.commit()


class _Hashed:
    """A sink in front of parts that also hashes what passes."""

    def __init__(self, parts: _Parts) -> None:
        self.parts = parts
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes) -> None:
        self.sha256.update(data)
        self.parts.write(data)


class BigFile:
    """A file that is stored while it grows: its frames come in any order and are put in theirs."""

    def __init__(self, writer: SetWriter, name: str, object_name: str, upload: Upload) -> None:
        self._writer = writer
        self._name = name
        self._object = object_name
        self._stored = _Hashed(_Parts(upload, writer.rate))
        self._encryptor = Encryptor(writer.recipients, self._stored) if writer.recipients else None
        self._waiting: dict[int, bytes] = {}
        self._next = 0
        self._count: int | None = None
        self._raw_size = 0
        self._lock = threading.Lock()

    def put(self, index: int, frame: bytes, raw_size: int, last: bool) -> None:
        """Store the frame of piece `index`; with the last one the object is complete."""
        with self._lock:
            self._waiting[index] = frame
            self._raw_size += raw_size
            if last:
                self._count = index + 1
            target = self._encryptor or self._stored
            while self._next in self._waiting:
                target.write(self._waiting.pop(self._next))
                self._next += 1
            if self._next == self._count:
                self._finish()

    def _finish(self) -> None:
        if self._encryptor is not None:
            self._encryptor.close()
        self._stored.parts.finish()
        size, sha256 = self._stored.parts.size, self._stored.sha256.hexdigest()
        self._writer.record(StoredFile(self._name, self._object, 0, size, self._raw_size, sha256))

    def abort(self) -> None:
        """End the encryption; the upload is its writer's to abort."""
        if self._encryptor is not None:
            self._encryptor.abort()


class SetWriter:
    """The data objects of one set below `prefix`; `recipients` as sealing reads them."""

    def __init__(
        self,
        repository: Repository,
        prefix: str,
        level: int,
        recipients: Sequence[Any],
        rate: RateLimit,
    ) -> None:
        self.level = level
        self.recipients = list(recipients)
        self.rate = rate
        self.files: list[StoredFile] = []
        self._repository = repository
        self._prefix = prefix
        self._suffix = ".zst.age" if self.recipients else ".zst"
        self._uploads: list[Upload] = []
        self._big: list[BigFile] = []
        self._objects: list[str] = []
        self._bundle: tuple[str, _Parts] | None = None
        self._lock = threading.Lock()
        self._bundle_lock = threading.Lock()

    def big_file(self, name: str) -> BigFile:
        """Begin to store a file that gets an object of its own."""
        object_name = name + self._suffix
        file = BigFile(self, name, object_name, self._upload(object_name))
        self._big.append(file)
        return file

    def add_small(self, name: str, raw: bytes) -> None:
        """Store a whole file in the current bundle."""
        sealed = seal(raw, self.level, self.recipients)
        sha256 = hashlib.sha256(sealed).hexdigest()
        with self._bundle_lock:
            if self._bundle is None:
                object_name = f"bundle-{len(self._objects):04d}{self._suffix}"
                self._bundle = (object_name, _Parts(self._upload(object_name), self.rate))
            object_name, parts = self._bundle
            offset = parts.size
            parts.write(sealed)
            self.record(StoredFile(name, object_name, offset, len(sealed), len(raw), sha256))
            if parts.size >= BUNDLE_BYTES:
                self._close_bundle()

    def record(self, file: StoredFile) -> None:
        """Take note of a file whose bytes are stored."""
        with self._lock:
            self.files.append(file)

    def finish(self) -> None:
        """Complete the last bundle; every big file has had its last piece by now."""
        with self._bundle_lock:
            self._close_bundle()

    def abort(self, manifest: str) -> None:
        """Give up what is unfinished, then remove the manifest and what is stored, in that order.

        Raises what that meets.
        """
        for file in self._big:
            file.abort()
        for upload in self._uploads:
            upload.abort()
        self._repository.delete([manifest])
        self._repository.delete([self._prefix + name for name in self._objects])

    def _upload(self, object_name: str) -> Upload:
        upload = self._repository.upload(self._prefix + object_name)
        with self._lock:
            self._uploads.append(upload)
            self._objects.append(object_name)
        return upload

    def _close_bundle(self) -> None:
        if self._bundle is not None:
            self._bundle[1].finish()
            self._bundle = None

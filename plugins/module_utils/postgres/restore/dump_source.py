# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dumps that this collection did not make: which kind one is, and its bytes.

The guide's own `backup_20250123.sql.gz`, plain SQL, pg_dump's custom format, and its directory
format with or without compression.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Callable

from ...core.errors import OperationError, Reason
from ...repository import NoSuchObject, Repository
from ..sets.sealing import zstandard
from .archive_restore import TOC

PLAIN, CUSTOM, DIRECTORY = "plain", "custom", "directory"
PACKINGS = {"gz": "gzip", "lz4": "lz4", "zst": "zstd"}  # suffix -> what packed it

_READ_BYTES = 1024 * 1024
_LOOK_BYTES = 4096
_GZIP, _ARCHIVE = b"\x1f\x8b", b"PGDMP"
_SCHEMES = ("file://", "s3://")
_ZLIB_GZIP = 31  # zlib: 15 bits of window, and 16 for gzip's header and checksum


@dataclass(frozen=True)
class Dump:
    """A dump under `key` (a directory's ends in /); `size` is in stored bytes."""

    key: str
    kind: str
    is_gzip: bool
    size: int


def locate(wanted: str, repository_url: str) -> tuple[str, str]:
    """The repository URL and the key that a dump's name or URL means."""
    inside = repository_url.rstrip("/") + "/"
    if wanted.startswith(inside):
        return repository_url, wanted[len(inside) :]
    if wanted.startswith(_SCHEMES):
        parent, _slash, name = wanted.rstrip("/").rpartition("/")
        return parent, name
    return repository_url, wanted


def find_dump(repository: Repository, key: str) -> Dump:
    """The dump under a key; raises `precondition` when there is none, or of no known kind."""
    folder = key.rstrip("/") + "/"
    for each in repository.list(f"{folder}{TOC}"):
        if each.key == f"{folder}{TOC}":
            size = sum(file.size for file in repository.list(folder))
            return Dump(folder, DIRECTORY, is_gzip=False, size=size)
    try:
        with repository.open(key) as reader:
            beginning = reader.read(_LOOK_BYTES)
    except NoSuchObject:
        raise OperationError(
            Reason.PRECONDITION,
            f"find the dump {key}",
            f"{repository.url} has neither an object nor a folder with a {TOC} of that name",
            "Give latest, an id, or the name of a dump that postgres_backup_info lists",
        ) from None
    size = next(each.size for each in repository.list(key) if each.key == key)
    is_gzip = beginning.startswith(_GZIP)
    if is_gzip:
        beginning = zlib.decompressobj(_ZLIB_GZIP).decompress(beginning)
    return Dump(key, CUSTOM if beginning.startswith(_ARCHIVE) else PLAIN, is_gzip, size)


def read_dump(repository: Repository, dump: Dump, seen: Callable[[int], None]) -> Iterator[bytes]:
    """The dump's bytes, unpacked; `seen` is told how many stored bytes were read so far.

    Raises `integrity` for a gzip file that is damaged or ends too early.
    """
    unpack = _Unpacker("gz", f"{dump.key} in {repository.url}") if dump.is_gzip else None
    done = 0
    with repository.open(dump.key) as reader:
        while data := reader.read(_READ_BYTES):
            done += len(data)
            yield unpack.feed(data) if unpack else data
            seen(done)
    if unpack:
        unpack.close()


class _Unpacker:
    """Unpacks what one of the formats of pg_dump packed, also several one after the other."""

    def __init__(self, packing: str, where: str) -> None:
        """`packing` is the suffix of its files; `where` names the object. Raises missing_library."""
        self._object = where
        self._format = PACKINGS[packing]
        self._begin, self._errors = _library(packing)
        self._member = self._begin()
        self._within = False

    def feed(self, data: bytes) -> bytes:
        pieces = []
        while data:
            self._within = True
            try:
                pieces.append(self._member.decompress(data))
            except self._errors as error:
                raise self._damaged(f"is damaged ({error})") from error
            data = b""
            if self._member.eof:
                data = (self._member.unused_data or b"").lstrip(b"\0")
                self._member, self._within = self._begin(), False
        return b"".join(pieces)

    def close(self) -> None:
        if self._within:
            raise self._damaged(f"ends in the middle of its {self._format} data")

    def _damaged(self, seen: str) -> OperationError:
        return OperationError(
            Reason.INTEGRITY,
            "unpack the dump",
            f"object {self._object} {seen}",
            "Use another dump: this one was not written or uploaded whole",
        )


def _library(packing: str) -> tuple[Callable[[], Any], Any]:
    """What begins to unpack, and the exception for damaged bytes."""
    if packing == "gz":
        return lambda: zlib.decompressobj(_ZLIB_GZIP), zlib.error
    if packing == "zst":
        return zstandard().ZstdDecompressor().decompressobj, zstandard().ZstdError
    try:
        from lz4.frame import LZ4FrameDecompressor
    except ImportError as error:
        raise OperationError(
            Reason.MISSING_LIBRARY,
            "unpack the dump, which is compressed with lz4",
            "the Python library lz4 is not installed here",
            "Install lz4 for the Python that runs this",
        ) from error
    return LZ4FrameDecompressor, RuntimeError


class DumpFolder:
    """The files of a directory dump in a repository, by the names that its contents give them."""

    def __init__(self, repository: Repository, folder: str) -> None:
        self._repository = repository
        self._folder = folder
        self._stored: dict[str, _Stored] = {}
        for each in repository.list(folder):
            name = each.key[len(folder) :]
            stem, _dot, suffix = name.rpartition(".")
            if suffix in PACKINGS:
                self._stored[stem] = _Stored(each.key, each.size, suffix)
            elif "/" not in name:
                self._stored[name] = _Stored(each.key, each.size)
        self.sizes = {name: stored.size for name, stored in self._stored.items()}
        self.done = 0  # stored bytes that were read, for the progress

    def read(self, name: str) -> bytes:
        pieces: list[bytes] = []
        self.stream(name, pieces.append)
        return b"".join(pieces)

    def stream(self, name: str, write: Callable[[bytes], None]) -> None:
        stored = self._stored[name]
        unpack = None
        if stored.packing:
            unpack = _Unpacker(stored.packing, f"{stored.key} in {self._repository.url}")
        done = 0
        with self._repository.open(stored.key) as reader:
            while data := reader.read(_READ_BYTES):
                done += len(data)
                self.done += len(data)
                write(unpack.feed(data) if unpack else data)
        if unpack:
            unpack.close()
        if done != stored.size:
            raise OperationError(
                Reason.INTEGRITY,
                "read the dump",
                f"object {stored.key} gave {done} of {stored.size} bytes",
                "Run this again when nobody writes there",
            )


@dataclass(frozen=True)
class _Stored:
    """A file of a directory dump: its object, and how it is packed, as its suffix says."""

    key: str
    size: int
    packing: str = ""

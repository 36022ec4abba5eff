# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of contents of a directory dump (toc.dat), as pg_dump 11 to 18 write it.

The format is PostgreSQL's own: `ReadHead` and `ReadToc` of pg_backup_archiver.c, archive
versions 1.13 to 1.16. It is read for what `pg_restore --list` does not tell unmistakably (owners,
statements, files), and its dump ids are dealt out anew so that the largest tables come first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PRE_DATA, DATA, POST_DATA = 2, 3, 4

_MAGIC = b"PGDMP"
_OLDEST, _NEWEST = (1, 13), (1, 16)
_HEADER_TIME_INTS = 7


class UnreadableToc(Exception):
    """It is not a toc.dat, or not of a version that is known here."""


@dataclass(frozen=True)
class TocEntry:
    """One object of the dump; `file` is the data file's name, empty for an object without data.

    `copy` is the statement that takes a table's rows, empty where they are kept as INSERTs.
    """

    dump_id: int
    tag: str
    kind: str
    section: int
    statement: str
    schema: str
    owner: str
    dependencies: tuple[int, ...]
    file: str
    copy: str = ""


@dataclass(frozen=True)
class _Spans:
    """Where in toc.dat an entry's dump id begins, and its dependencies begin and end."""

    dump_id: int
    dependencies: int
    behind: int


class _Cursor:
    """Reads pg_dump's integers and strings from bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.int_size = 4

    def take(self, size: int) -> bytes:
        if size < 0 or self.at + size > len(self.data):
            raise UnreadableToc(f"it ends within an entry, at byte {len(self.data)}")
        self.at += size
        return self.data[self.at - size : self.at]

    def integer(self) -> int:
        negative, *digits = self.take(1 + self.int_size)
        value = int.from_bytes(bytes(digits), "little")
        return -value if negative else value

    def text(self) -> str | None:
        size = self.integer()
        return None if size < 0 else self.take(size).decode("utf-8", "surrogateescape")

    def write_integer(self, value: int) -> bytes:
        return bytes([value < 0]) + abs(value).to_bytes(self.int_size, "little")

    def write_text(self, value: str) -> bytes:
        encoded = value.encode("utf-8", "surrogateescape")
        return self.write_integer(len(encoded)) + encoded


def read_toc(data: bytes) -> list[TocEntry]:
    """The entries of a toc.dat in its order; raises `UnreadableToc`."""
    return [entry for entry, _spans in _read(_Cursor(data))]


def largest_first(data: bytes, sizes: Mapping[str, int]) -> bytes:
    """The toc.dat with the dump ids of data and post-data dealt out by size, largest first.

    pg_restore starts the largest table first, and the indexes of large tables before the data of
    small ones, by the sizes that stat() gives; a file that is not there has none. Entries of equal
    size it starts by dump id. `sizes` has the bytes of each data file. Raises `UnreadableToc`.
    """
    cursor = _Cursor(data)
    entries = _read(cursor)
    ids = _ids_by_size([entry for entry, _spans in entries], sizes)
    pieces = []
    at = 0
    for entry, spans in entries:
        pieces += [data[at : spans.dump_id], cursor.write_integer(_new(entry.dump_id, ids))]
        behind_id = spans.dump_id + 1 + cursor.int_size
        pieces += [data[behind_id : spans.dependencies]]
        pieces += [cursor.write_text(str(_new(each, ids))) for each in entry.dependencies]
        pieces += [cursor.write_integer(-1)]
        at = spans.behind
    return b"".join([*pieces, data[at:]])


def _new(dump_id: int, ids: Mapping[int, int]) -> int:
    return ids.get(dump_id, dump_id)


def _ids_by_size(entries: list[TocEntry], sizes: Mapping[str, int]) -> dict[int, int]:
    weights = {each.dump_id: sizes.get(each.file, 0) for each in entries if each.file}
    # pg_restore: an index, which depends on the table, is as large as the table's data.
    of_table = {
        each.dependencies[0]: weights[each.dump_id]
        for each in entries
        if each.kind == "TABLE DATA" and each.dependencies and each.file
    }
    later = [each for each in entries if each.section in (DATA, POST_DATA)]

    def weight(entry: TocEntry) -> int:
        if entry.section == DATA:
            return weights.get(entry.dump_id, 0)
        return max((of_table.get(each, 0) for each in entry.dependencies), default=0)

    wanted = sorted(later, key=lambda each: (-weight(each), each.dump_id))
    free = sorted(each.dump_id for each in later)
    return {entry.dump_id: new for entry, new in zip(wanted, free)}


def _read(cursor: _Cursor) -> list[tuple[TocEntry, _Spans]]:
    version = _read_header(cursor)
    return [_read_entry(cursor, version) for _each in range(cursor.integer())]


def _read_header(cursor: _Cursor) -> tuple[int, int]:
    if cursor.take(len(_MAGIC)) != _MAGIC:
        raise UnreadableToc("it does not begin as a dump of pg_dump does")
    major, minor, _revision, cursor.int_size, _offset_size, _format = cursor.take(6)
    version = (major, minor)
    if not _OLDEST <= version <= _NEWEST:
        raise UnreadableToc(f"its archive version is {major}.{minor}")
    if version >= (1, 15):
        cursor.take(1)  # the compression's algorithm
    else:
        cursor.integer()  # its level
    for _number in range(_HEADER_TIME_INTS):
        cursor.integer()
    for _each in ("database", "server version", "pg_dump version"):
        cursor.text()
    return version


def _read_entry(cursor: _Cursor, version: tuple[int, int]) -> tuple[TocEntry, _Spans]:
    id_at = cursor.at
    dump_id = cursor.integer()
    cursor.integer()  # whether it has data
    for _each in ("table oid", "oid"):
        cursor.text()
    tag, kind = cursor.text(), cursor.text()
    section = cursor.integer()
    statement = cursor.text()
    cursor.text()  # drop statement
    copy = cursor.text()
    schema = cursor.text()
    cursor.text()  # tablespace
    if version >= (1, 14):
        cursor.text()  # table access method
    if version >= (1, 16):
        cursor.integer()  # relkind
    owner = cursor.text()
    cursor.text()  # "with oids"
    dependencies_at = cursor.at
    dependencies = []
    while (dependency := cursor.text()) is not None:
        dependencies.append(int(dependency))
    behind = cursor.at
    entry = TocEntry(
        dump_id=dump_id,
        tag=tag or "",
        kind=kind or "",
        section=section,
        statement=statement or "",
        schema=schema or "",
        owner=owner or "",
        dependencies=tuple(dependencies),
        file=cursor.text() or "",
        copy=copy or "",
    )
    return entry, _Spans(id_at, dependencies_at, behind)

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who restores what of a directory dump, and in which order.

pg_restore makes what is there before the rows, with the values of sequences and without what a role
may do; the rows and large objects are loaded over our own connections, the largest first; then
pg_restore makes the rest, such as indexes. It never sees a data file: since the minor releases of
2026 it wants regular ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..sets.toc import POST_DATA, TocEntry, largest_first, read_toc

# pg_restore grants and revokes at the end (RestorePass of pg_backup_archiver.h): an owner may have
# no right to insert.
_LATE = ("ACL", "ACL LANGUAGE")
_NO_SECTION = 1
_OLD_LIST = "blobs.toc"  # the one list of large objects before PostgreSQL 16
_ENCODING = re.compile(r"SET client_encoding = '([^']+)'")
_COPY = re.compile(r"COPY .* FROM stdin;\n", re.DOTALL)


class MissingFile(Exception):
    """The dump refers to a data file that is not there; the argument is its name."""


@dataclass(frozen=True)
class TableData:
    """The rows of one table; without `copy` its file is a script of INSERTs, for pg_restore.

    `is_new` is whether the dump makes the table itself, so that nobody else has rows in it.
    """

    dump_id: int
    schema: str
    name: str
    file: str
    size: int
    copy: str
    is_new: bool

    @property
    def label(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True)
class ArchiveContents:
    """`toc` is for pg_restore; `before` and `after` are dump ids in it.

    `encoding` is PostgreSQL's name of the one that rows are in, `object_lists` the files that
    list large objects.
    """

    toc: bytes
    before: list[int]
    after: list[int]
    tables: list[TableData]
    object_lists: list[str]
    encoding: str


def read_contents(toc: bytes, sizes: Mapping[str, int]) -> ArchiveContents:
    """Judge a toc.dat; `sizes` are the bytes of all other files. Raises UnreadableToc, MissingFile."""
    toc = largest_first(toc, sizes)
    entries = read_toc(toc)
    before, after = _divided(entries)
    by_id = {entry.dump_id: entry for entry in entries}
    tables = [
        _table(entry, by_id, sizes)
        for entry in entries
        if entry.file and entry.kind == "TABLE DATA"
    ]
    lists = [_list_file(entry, sizes) for entry in entries if entry.file and entry.kind == "BLOBS"]
    return ArchiveContents(
        toc=toc,
        before=before,
        after=after,
        tables=sorted(tables, key=lambda each: -each.size),
        object_lists=lists,
        encoding=_encoding(entries),
    )


def _divided(entries: list[TocEntry]) -> tuple[list[int], list[int]]:
    before: list[int] = []
    after: list[int] = []
    section = _NO_SECTION
    for entry in entries:
        if entry.section != _NO_SECTION:
            section = entry.section  # what has none, such as a comment, follows what it is about
        if entry.file:
            continue
        late = section == POST_DATA or entry.kind in _LATE
        (after if late else before).append(entry.dump_id)
    return before, after


def _table(entry: TocEntry, entries: Mapping[int, TocEntry], sizes: Mapping[str, int]) -> TableData:
    if entry.file not in sizes:
        raise MissingFile(entry.file)
    copy = entry.copy if _COPY.fullmatch(entry.copy) else ""
    made = [entries[each] for each in entry.dependencies if each in entries]
    own = any(
        (each.kind, each.schema, each.tag) == ("TABLE", entry.schema, entry.tag) for each in made
    )
    # Rows of a partition may be loaded through its root, which others load too.
    goes_there = any(copy.startswith(f"COPY {name} ") for name in _spellings(entry))
    return TableData(
        dump_id=entry.dump_id,
        schema=entry.schema,
        name=entry.tag,
        file=entry.file,
        size=sizes[entry.file],
        copy=copy,
        is_new=own and goes_there,
    )


def _spellings(entry: TocEntry) -> Iterator[str]:
    """A table's name as pg_dump may write it: it quotes what needs it."""
    for schema in (entry.schema, quoted(entry.schema)):
        for name in (entry.tag, quoted(entry.tag)):
            yield f"{schema}.{name}"


def quoted(name: str) -> str:
    """A name as SQL takes it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def _list_file(entry: TocEntry, sizes: Mapping[str, int]) -> str:
    name = entry.file if entry.file in sizes else _OLD_LIST
    if name not in sizes:
        raise MissingFile(entry.file)
    return name


def _encoding(entries: list[TocEntry]) -> str:
    for entry in entries:
        found = _ENCODING.search(entry.statement) if entry.kind == "ENCODING" else None
        if found:
            return found.group(1)
    return "UTF8"

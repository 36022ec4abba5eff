# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who restores what of a dump: pg_restore or our own connections, and when."""

from __future__ import annotations

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.restore.archive_contents import (
    MissingFile,
    read_contents,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.toc import (
    DATA,
    POST_DATA,
    PRE_DATA,
    TocEntry,
    read_toc,
)

from tests.unit.postgres.written_toc import toc

NO_SECTION = 1


def entry(number: int, kind: str, section: int, tag: str = "", **values: object) -> TocEntry:
    plain = {"statement": "", "schema": "public", "owner": "me", "dependencies": (), "file": ""}
    return TocEntry(number, tag, kind, section, **{**plain, **values})  # type: ignore[arg-type]


def rows_of(number: int, tag: str, table: int, copy: str) -> TocEntry:
    values = {"dependencies": (table,), "file": f"{number}.dat", "copy": copy}
    return entry(number, "TABLE DATA", DATA, tag, **values)


ENCODING = entry(1, "ENCODING", PRE_DATA, statement="SET client_encoding = 'LATIN1';\n")
TABLES = (
    entry(10, "TABLE", PRE_DATA, "small"),
    entry(11, "ACL", NO_SECTION, "TABLE small", dependencies=(10,)),
    entry(12, "COMMENT", NO_SECTION, "TABLE small", dependencies=(10,)),
    entry(13, "TABLE", PRE_DATA, "Large one"),
    entry(14, "TABLE", PRE_DATA, "part"),
    entry(15, "EXTENSION", PRE_DATA, "gis"),
)
ROWS = (
    rows_of(20, "small", 10, "COPY public.small (a) FROM stdin;\n"),
    rows_of(21, "Large one", 13, 'COPY public."Large one" FROM stdin;\n'),
    rows_of(22, "part", 14, "COPY public.whole (a) FROM stdin;\n"),
    rows_of(23, "references", 15, "COPY public.references (a) FROM stdin;\n"),
    rows_of(24, "inserted", 10, ""),
    entry(30, "SEQUENCE SET", DATA, "ids"),
)
REST = (
    entry(40, "INDEX", POST_DATA, "by_a", dependencies=(10,)),
    entry(41, "COMMENT", NO_SECTION, "INDEX by_a", dependencies=(40,)),
)
SIZES = {"20.dat": 10, "21.dat": 5000, "22.dat": 30, "23.dat": 40, "24.dat": 50}
CONTENTS = read_contents(toc(ENCODING, *TABLES, *ROWS, *REST), SIZES)


def named(ids: list[int]) -> list[str]:
    names = {each.dump_id: f"{each.kind} {each.tag}".strip() for each in read_toc(CONTENTS.toc)}
    return [names[each] for each in ids]


def test_pg_restore_makes_everything_but_rows_and_rights_before_them():
    assert named(CONTENTS.before) == [
        "ENCODING", "TABLE small", "COMMENT TABLE small", "TABLE Large one", "TABLE part",
        "EXTENSION gis", "SEQUENCE SET ids",
    ]  # fmt: skip


def test_and_the_rest_after_them():
    assert named(CONTENTS.after) == [
        "ACL TABLE small",
        "INDEX by_a",
        "COMMENT INDEX by_a",
    ]


def test_the_largest_table_is_loaded_first():
    assert [each.name for each in CONTENTS.tables] == [
        "Large one", "inserted", "references", "part", "small",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "is_new"),
    [
        ("small", True),
        ("Large one", True),
        ("part", False),  # its rows go through the root of its partitions
        ("references", False),  # an extension made it, and has rows of its own in it
    ],
)
def test_only_a_table_that_the_dump_makes_and_loads_itself_is_emptied_first(name, is_new):
    (table,) = [each for each in CONTENTS.tables if each.name == name]
    assert table.is_new is is_new
    assert table.copy


def test_rows_that_are_inserts_are_left_to_pg_restore():
    (table,) = [each for each in CONTENTS.tables if each.name == "inserted"]
    assert table.copy == ""


def test_rows_are_read_in_the_encoding_of_the_dump():
    assert CONTENTS.encoding == "LATIN1"


def test_a_data_file_that_is_not_there_is_named():
    sizes = {name: size for name, size in SIZES.items() if name != "21.dat"}
    with pytest.raises(MissingFile, match=r"21\.dat"):
        read_contents(toc(*TABLES, *ROWS), sizes)


@pytest.mark.parametrize("stored", ["blobs_25.toc", "blobs.toc"])
def test_large_objects_are_found_by_their_list(stored):
    blobs = entry(25, "BLOBS", DATA, "BLOBS", file="blobs_25.toc")
    contents = read_contents(toc(*TABLES, *ROWS, blobs), {**SIZES, stored: 100, "blob_7.dat": 3})
    assert contents.object_lists == [stored]

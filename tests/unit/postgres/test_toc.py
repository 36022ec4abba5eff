# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_dump's table of contents, and the order in which pg_restore starts what is in it."""

from __future__ import annotations

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.toc import (
    DATA,
    POST_DATA,
    PRE_DATA,
    TocEntry,
    UnreadableToc,
    largest_first,
    read_toc,
)

from tests.unit.postgres.written_toc import toc


def entry(dump_id: int, kind: str, section: int, *dependencies: int, file: str = "") -> TocEntry:
    return TocEntry(
        dump_id, f"t{dump_id}", kind, section, "…;\n", "public", "me", dependencies, file
    )


CONTENTS = (
    entry(10, "TABLE", PRE_DATA),
    entry(11, "TABLE", PRE_DATA),
    entry(12, "TABLE", PRE_DATA),
    entry(100, "TABLE DATA", DATA, 10, file="100.dat"),
    entry(101, "TABLE DATA", DATA, 11, file="101.dat"),
    entry(102, "TABLE DATA", DATA, 12, file="102.dat"),
    entry(200, "INDEX", POST_DATA, 10),
    entry(201, "CONSTRAINT", POST_DATA, 11, 11),
    entry(202, "FK CONSTRAINT", POST_DATA, 12, 201),
)
SIZES = {"100.dat": 5, "101.dat": 900, "102.dat": 40}


@pytest.mark.parametrize("version", [(1, 13), (1, 14), (1, 15), (1, 16)])
def test_every_known_version_is_read_as_it_was_written(version):
    assert read_toc(toc(*CONTENTS, version=version)) == list(CONTENTS)


def by_id(data: bytes) -> list[str]:
    """What pg_restore starts first among what is ready where no data file is there to have a size."""
    found = sorted(read_toc(data), key=lambda each: each.dump_id)
    return [each.tag for each in found if each.section != PRE_DATA]


def test_the_largest_table_comes_first_and_its_indexes_before_smaller_tables():
    assert by_id(toc(*CONTENTS)) == ["t100", "t101", "t102", "t200", "t201", "t202"]
    assert by_id(largest_first(toc(*CONTENTS), SIZES)) == [
        "t101", "t201", "t102", "t202", "t100", "t200",
    ]  # fmt: skip


def test_everything_still_depends_on_what_it_did():
    before = {each.tag: each for each in read_toc(toc(*CONTENTS))}
    data = largest_first(toc(*CONTENTS), SIZES)
    after = {each.tag: each for each in read_toc(data)}
    tags = {each.dump_id: each.tag for each in after.values()}
    assert sorted(tags) == sorted(each.dump_id for each in before.values())
    for tag, each in after.items():
        expected = [f"t{number}" for number in before[tag].dependencies]
        assert [tags[number] for number in each.dependencies] == expected
        assert each.file == before[tag].file
    assert [each.tag for each in read_toc(data)] == [each.tag for each in CONTENTS]


def test_where_all_are_of_one_size_nothing_changes():
    data = toc(*CONTENTS)
    assert largest_first(data, {}) == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PG",
        b"-- PostgreSQL database dump",
        toc(*CONTENTS, version=(1, 12)),
        toc(*CONTENTS, version=(1, 17)),
        toc(*CONTENTS, version=(2, 0)),
        *(toc(*CONTENTS)[:length] for length in (8, 30, 60, 200, -1)),
    ],
)
def test_what_is_none_is_told(data):
    with pytest.raises(UnreadableToc):
        read_toc(data)
    with pytest.raises(UnreadableToc):
        largest_first(data, SIZES)

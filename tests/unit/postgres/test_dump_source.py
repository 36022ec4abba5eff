# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which dump a name means, of which kind it is, and its bytes."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.clock import SystemClock
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.restore.dump_source import (
    CUSTOM,
    DIRECTORY,
    PLAIN,
    find_dump,
    locate,
    read_dump,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.repository import (
    Repository,
    open_repository,
)


def repository(folder: Path) -> Repository:
    return open_repository({"repository": f"file://{folder}", "s3": None}, SystemClock())


@pytest.mark.parametrize(
    ("wanted", "place"),
    [
        ("a.sql.gz", ("s3://bucket/prefix", "a.sql.gz")),
        ("old/a.sql.gz", ("s3://bucket/prefix", "old/a.sql.gz")),
        ("s3://bucket/prefix/old/a.sql", ("s3://bucket/prefix", "old/a.sql")),
        ("s3://other/deep/a.sql", ("s3://other/deep", "a.sql")),
        ("s3://bucket/prefixed/a.sql", ("s3://bucket/prefixed", "a.sql")),
        ("file:///var/dumps/folder/", ("file:///var/dumps", "folder")),
    ],
)
def test_a_name_or_url_means_a_key_in_a_repository(wanted, place):
    assert locate(wanted, "s3://bucket/prefix") == place


def test_the_kind_is_seen_from_the_first_bytes_not_the_name(tmp_path):
    (tmp_path / "a").write_bytes(b"PGDMP\1\20")
    (tmp_path / "b.dump").write_bytes(b"SELECT 1;\n")
    (tmp_path / "c.sql").write_bytes(gzip.compress(b"SELECT 1;\n" * 9999))
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "toc.dat").write_bytes(b"PGDMP")
    (tmp_path / "d" / "1.dat.gz").write_bytes(b"12345")
    store = repository(tmp_path)
    found = [find_dump(store, key) for key in ("a", "b.dump", "c.sql", "d", "d/")]
    assert [(each.kind, each.is_gzip) for each in found] == [
        (CUSTOM, False), (PLAIN, False), (PLAIN, True), (DIRECTORY, False), (DIRECTORY, False),
    ]  # fmt: skip
    assert found[3].size == 10
    with pytest.raises(OperationError, match="neither an object nor a folder"):
        find_dump(store, "e")


def unpacked(folder: Path, data: bytes) -> bytes:
    (folder / "dump").write_bytes(data)
    store = repository(folder)
    told: list[int] = []
    raw = b"".join(read_dump(store, find_dump(store, "dump"), told.append))
    assert told[-1] == len(data)
    return raw


SCRIPT = b"".join(b"INSERT INTO t VALUES (%d);\n" % number for number in range(100_000))


def test_every_member_of_a_gzip_file_is_unpacked(tmp_path):
    assert unpacked(tmp_path, SCRIPT) == SCRIPT
    packed = gzip.compress(SCRIPT[:1000]) + gzip.compress(SCRIPT[1000:])
    assert unpacked(tmp_path, packed) == SCRIPT
    assert unpacked(tmp_path, packed + bytes(512)) == SCRIPT  # padded, as on tape


@pytest.mark.parametrize("length", [20, 1000, -9, -1])
def test_a_gzip_file_that_ends_too_early_is_told(tmp_path, length):
    with pytest.raises(OperationError, match="middle of its gzip data") as caught:
        unpacked(tmp_path, gzip.compress(SCRIPT)[:length])
    assert caught.value.reason.value == "integrity"


def test_a_gzip_file_with_a_wrong_checksum_is_told(tmp_path):
    data = bytearray(gzip.compress(SCRIPT))
    data[-6] ^= 1
    with pytest.raises(OperationError, match="is damaged") as caught:
        unpacked(tmp_path, bytes(data))
    assert caught.value.reason.value == "integrity"

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores of dumps that this collection did not make: the guide's own first of all."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg2 import sql

from demo.stack.stack import Stack
from tests.component.restore_site import RestoreSite, good, refused

DATABASE = "old"
CONTENTS = r"""
CREATE TABLE costs (id int PRIMARY KEY, note text);
INSERT INTO costs SELECT i, E'a \\ line\nand ' || i FROM generate_series(1, 30000) i;
CREATE TABLE other AS SELECT i, md5(i::text) AS text FROM generate_series(1, 20000) i;
CREATE TABLE tricky (text text); INSERT INTO tricky VALUES (E'\n\\connect other\n'), ('\!');
SELECT lo_from_bytea(7001, 'a large object'), lo_from_bytea(7002, 'another');
"""
ROWS = 50002
GUIDES = "backup_20250123.sql.gz"


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[RestoreSite]:
    stack = Stack(tmp_path_factory.mktemp("dumps"))
    try:
        site = RestoreSite(stack.up(only=["postgres"]), tmp_path_factory.mktemp("repository"))
        site.make(DATABASE, CONTENTS, as_owner=True)
        make_dumps(site)
        yield site
    finally:
        stack.down(purge=True)


def make_dumps(site: RestoreSite) -> None:
    folder = site.folder / "dumps"
    folder.mkdir()

    def dump(name: str, *arguments: str) -> None:
        site.program(DATABASE, "pg_dump", *arguments, f"--file={folder / name}")

    dump("plain.sql")
    plain = (folder / "plain.sql").read_bytes()
    (site.folder / GUIDES).write_bytes(gzip.compress(plain))
    (folder / "two-members.sql.gz").write_bytes(
        gzip.compress(plain[:100_000]) + gzip.compress(plain[100_000:])
    )
    # In an INSERT, a value's line that looks like a command of psql is refused to be sure.
    dump("inserts.sql", "--inserts", "--rows-per-insert=500", "--exclude-table-data=tricky")
    dump("custom.dump", "--format=custom")
    for compression in ("none", "gzip", "lz4", "zstd"):
        dump(f"folder-{compression}", "--format=directory", f"--compress={compression}")


@pytest.fixture
def target(site) -> Iterator[str]:
    name = f"new_{os.urandom(4).hex()}"
    yield name
    site.drop(name)


@pytest.mark.parametrize(
    "dump",
    [
        GUIDES,
        "dumps/plain.sql",
        "dumps/inserts.sql",
        "dumps/two-members.sql.gz",
        "dumps/custom.dump",
        "dumps/folder-none",
        "dumps/folder-gzip",
        "dumps/folder-lz4/",
        "dumps/folder-zstd",
    ],
)
@pytest.mark.parametrize("as_owner", [True, False], ids=["owner", "superuser"])
def test_every_kind_of_dump_restores(site, target, dump, as_owner):
    outcome = good(site.restore(DATABASE, backup=dump, target=target, as_owner=as_owner))
    without_tricky = dump == "dumps/inserts.sql"
    assert outcome["state"]["rows"] == ROWS - 2 * without_tricky
    assert any("no row counts" in note for note in outcome["state"]["notes"])
    look = "SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM {} t"
    for table in ("costs", "other") if without_tricky else ("costs", "other", "tricky"):
        same = look.format(table)
        assert site.ask(target, same) == site.ask(DATABASE, same)
    assert site.ask(target, "SELECT convert_from(lo_get(7001), 'UTF8')") == "a large object"
    owner = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
    assert site.ask(target, owner) == "cost_agent"


def test_a_url_names_a_dump_of_another_place(site, target):
    outcome = site.restore(
        DATABASE,
        repository=f"file://{site.folder}/elsewhere",
        backup=f"file://{site.folder}/dumps/plain.sql",
        target=target,
    )
    assert good(outcome)["state"]["rows"] == ROWS
    within = f"file://{site.folder}/dumps/custom.dump"
    good(site.restore(DATABASE, check=True, backup=within))


def test_a_dump_is_swapped_in_as_a_backup_is(site):
    site.make("mine", "CREATE TABLE costs AS SELECT 1 AS x", as_owner=True)
    try:
        options = {"backup": GUIDES, "swap": True, "confirm": "mine", "as_owner": True}
        outcome = good(site.restore("mine", **options))
        assert site.ask("mine", "SELECT count(*) FROM costs") == 30000
        assert site.ask(outcome["state"]["swap"]["kept"], "SELECT count(*) FROM costs") == 1
    finally:
        for name in site.databases("mine"):
            site.drop(name)


def test_check_mode_says_what_it_would_do(site, target):
    outcome = good(site.restore(DATABASE, check=True, backup=GUIDES, target=target))
    assert outcome["actions"] == [f"would restore {GUIDES} into new database {target}"]
    assert target not in site.databases()
    refused(
        site.restore(DATABASE, check=True, backup="nix.sql"), "precondition", "nix.sql", "latest"
    )


def damaged(site: RestoreSite, name: str, data: bytes) -> str:
    (site.folder / name).write_bytes(data)
    return name


@pytest.mark.parametrize("keep", [0.5, 0.999])
def test_a_gzip_file_that_was_cut_off_is_noticed(site, target, keep):
    data = (site.folder / GUIDES).read_bytes()
    name = damaged(site, "cut.sql.gz", data[: int(len(data) * keep)])
    refused(site.restore(DATABASE, backup=name, target=target), "integrity", name, "gzip")
    assert target not in site.databases()


def test_a_gzip_file_with_a_wrong_byte_is_noticed(site, target):
    data = bytearray((site.folder / GUIDES).read_bytes())
    data[len(data) // 2] ^= 1
    name = damaged(site, "wrong.sql.gz", bytes(data))
    outcome = site.restore(DATABASE, backup=name, target=target)
    assert outcome["reason"] in ("integrity", "failed_state"), outcome
    assert target not in site.databases()


def test_a_plain_dump_that_was_cut_off_between_statements_is_noticed(site, target):
    plain = (site.folder / "dumps/plain.sql").read_bytes()
    end = plain.index(b"ADD CONSTRAINT")
    name = damaged(site, "cut.sql", plain[: plain.rindex(b"\n\n", 0, end) + 1])
    refused(site.restore(DATABASE, backup=name, target=target), "integrity", "complete")
    assert target not in site.databases()


def test_the_first_error_of_a_script_stops_it_with_its_line(site, target):
    script = b"CREATE TABLE a (x int);\nSELECT nonsense;\nCREATE TABLE b (x int);\n"
    name = damaged(site, "error.sql", script)
    outcome = site.restore(DATABASE, backup=name, target=target)
    refused(outcome, "failed_state", "line 2", 'column "nonsense" does not exist')
    assert target not in site.databases()


@pytest.mark.parametrize("command", [r"\connect postgres", r"\c postgres", r"\! touch /tmp/x"])
def test_a_script_never_leaves_the_new_database(site, target, command):
    script = f"CREATE TABLE a (x int);\n{command}\nCREATE TABLE b (x int);\n"
    name = damaged(site, "leaves.sql", script.encode())
    refused(site.restore(DATABASE, backup=name, target=target), "precondition", command.split()[0])
    assert target not in site.databases()
    assert site.ask("postgres", "SELECT count(*) FROM pg_tables WHERE tablename = 'b'") == 0


def test_a_missing_role_of_a_script_is_told(site, target):
    script = b"CREATE TABLE a (x int);\nALTER TABLE a OWNER TO nobody_here;\n"
    name = damaged(site, "owner.sql", script)
    refused(
        site.restore(DATABASE, backup=name, target=target), "precondition", "line 2", "nobody_here"
    )


def test_owners_cannot_be_left_out_of_a_script(site, target):
    refused(site.restore(DATABASE, backup=GUIDES, owners=False), "precondition", "owners")
    good(site.restore(DATABASE, backup="dumps/custom.dump", owners=False, target=target))
    assert site.ask(
        target, "SELECT DISTINCT tableowner FROM pg_tables WHERE tablename='costs'"
    ) == ("postgres")


def test_a_damaged_custom_dump_fails(site, target):
    data = (site.folder / "dumps/custom.dump").read_bytes()
    name = damaged(site, "cut.dump", data[: len(data) // 2])
    outcome = site.restore(DATABASE, backup=name, target=target)
    assert outcome["failed"], outcome
    assert target not in site.databases()


def test_a_folder_that_lacks_a_file_fails(site, target):
    folder = site.folder / "dumps" / "lacking"
    folder.mkdir()
    for path in (site.folder / "dumps" / "folder-none").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    largest = max(folder.glob("*.dat"), key=lambda path: path.stat().st_size)
    largest.unlink()
    outcome = site.restore(DATABASE, backup="dumps/lacking", target=target)
    refused(outcome, "integrity", largest.name)
    assert target not in site.databases()


def test_a_database_that_is_not_there_yet_is_made_from_a_dump(site):
    try:
        good(site.restore("brand_new", backup=GUIDES, swap=True, confirm="brand_new"))
        assert site.ask("brand_new", "SELECT count(*) FROM costs") == 30000
        comment = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s"
        assert site.ask("postgres", comment, "brand_new") is None
    finally:
        site.drop("brand_new")


def test_what_is_kept_of_the_database_are_its_own_settings(site, target):
    with site.session() as cursor:
        cursor.execute(sql.SQL("ALTER DATABASE old SET work_mem = '7MB'"))
    good(site.restore(DATABASE, backup=GUIDES, target=target))
    assert site.ask(target, "SHOW work_mem") == "7MB"


def test_a_password_is_in_no_argument_list_and_no_result(site, target):
    password = Path(str(site.login()["password_file"])).read_text().strip()
    outcome = site.restore(DATABASE, backup=GUIDES, target=target)
    assert password not in str(outcome)

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restores of this collection's own backups into a real server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.clock import SystemClock
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.restore.new_database import (
    Marker,
)
from psycopg2 import sql
from pyrage import x25519

from demo.stack.stack import Stack
from tests.component.operations import run_operation
from tests.component.restore_site import RestoreSite, good, refused

ODD = "Cost \"agent\" ü → 'x' = \\"
CONTENTS = r"""
CREATE TABLE "odd "" name" (id int PRIMARY KEY, words text);
INSERT INTO "odd "" name" VALUES (1, E'a line\nand another'), (2, '\.'), (3, NULL), (4, '');
CREATE SCHEMA "Größe"; CREATE TABLE "Größe"."GROSS" (x int);
INSERT INTO "Größe"."GROSS" SELECT generate_series(1, 5000);
CREATE TABLE empty (x int);
CREATE TABLE no_columns ();
INSERT INTO no_columns DEFAULT VALUES; INSERT INTO no_columns DEFAULT VALUES;
CREATE TABLE parts (day date, x int) PARTITION BY RANGE (day);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2025-01-01') TO ('2025-02-01');
CREATE TABLE parts_2 PARTITION OF parts DEFAULT;
INSERT INTO parts SELECT date '2025-01-01' + i, i FROM generate_series(0, 99) i;
CREATE INDEX ON parts (x);
CREATE TABLE heir (y int) INHERITS (empty); INSERT INTO heir VALUES (1, 2);
CREATE TABLE generated
    (id int GENERATED ALWAYS AS IDENTITY, two int GENERATED ALWAYS AS (2) STORED);
INSERT INTO generated DEFAULT VALUES;
CREATE MATERIALIZED VIEW seen AS SELECT count(*) FROM parts;
CREATE EXTENSION hstore; COMMENT ON EXTENSION hstore IS 'its own comment';
CREATE TABLE keys (k hstore); INSERT INTO keys VALUES ('a=>1');
CREATE TABLE hen (id int PRIMARY KEY, egg int);
CREATE TABLE egg (id int PRIMARY KEY, hen int REFERENCES hen);
INSERT INTO hen VALUES (1, 1); INSERT INTO egg VALUES (1, 1);
ALTER TABLE hen ADD FOREIGN KEY (egg) REFERENCES egg;
CREATE TABLE secret (owner text);
INSERT INTO secret VALUES ('a'), ('b');
ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON secret USING (owner = current_user);
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql RETURN $1 * 2;
CREATE VIEW doubled AS SELECT twice(x) FROM empty;
SELECT lo_from_bytea(7001, 'a large object'), lo_from_bytea(7002, repeat('ab', 100000)::bytea);
"""
ROWS = 4 + 5000 + 0 + 2 + 100 + 1 + 1 + 1 + 2 + 2


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[RestoreSite]:
    stack = Stack(tmp_path_factory.mktemp("restore"))
    try:
        addresses = stack.up(only=["postgres", "s3"])
        yield RestoreSite(addresses, tmp_path_factory.mktemp("repository"))
    finally:
        stack.down(purge=True)


@pytest.fixture(scope="module")
def odd(site) -> str:
    """The id of a backup of the database with everything in it that PostgreSQL has."""
    site.make(ODD, CONTENTS)
    with site.session() as cursor:
        name = sql.Identifier(ODD)
        cursor.execute(sql.SQL("ALTER DATABASE {} SET work_mem = '7MB'").format(name))
        cursor.execute(sql.SQL("COMMENT ON DATABASE {} IS 'costs'").format(name))
        cursor.execute(sql.SQL("ALTER DATABASE {} CONNECTION LIMIT 77").format(name))
    return site.backup(ODD)


@pytest.fixture
def target(site) -> Iterator[str]:
    """A name for a new database."""
    name = f"new {os.urandom(4).hex()}"
    yield name
    site.drop(name)


def test_everything_comes_back_as_it_was(site, odd, target):
    outcome = good(site.restore(ODD, target=target))
    assert outcome["changed"]
    assert outcome["state"]["backup"] == odd
    assert outcome["state"]["database"] == target
    assert outcome["state"]["rows"] == ROWS
    assert outcome["state"]["notes"] == []
    assert site.schema(target) == site.schema(ODD)
    rows = ("pg_dump", "--data-only", "--inserts", "--restrict-key=x")
    assert lines(site.program(target, *rows)) == lines(site.program(ODD, *rows))
    assert site.ask(target, "SELECT convert_from(lo_get(7001), 'UTF8')") == "a large object"
    assert site.ask(target, "SELECT length(lo_get(7002))") == 200000


def lines(script: str) -> list[str]:
    """Of a dump, whose tables come in no order where foreign keys make a cycle."""
    return sorted(script.splitlines())


def test_the_properties_of_the_database_come_with_it(site, odd, target):
    good(site.restore(ODD, target=target))
    assert site.ask(target, "SHOW work_mem") == "7MB"
    look = f"SELECT %s FROM pg_database WHERE datname = '{target}'"
    assert site.ask("postgres", look % "shobj_description(oid, 'pg_database')") == "costs"
    assert site.ask("postgres", look % "datconnlimit") == 77
    assert site.ask("postgres", look % "datallowconn") is True


def test_tables_have_statistics_unless_not_wanted(site, odd, target):
    def count() -> int:
        return site.ask(target, "SELECT count(*) FROM pg_statistic WHERE starelid >= 16384")

    good(site.restore(ODD, target=target, analyze=False))
    assert count() == 0
    site.drop(target)
    good(site.restore(ODD, target=target))
    assert count() > 0


def test_without_a_target_the_new_name_tells_what_it_is_of(site, odd):
    outcome = good(site.restore(ODD))
    name = outcome["state"]["database"]
    try:
        assert name.startswith(f"{ODD}_restore_")
        assert name in site.databases()
    finally:
        site.drop(name)


def test_a_name_that_is_taken_is_refused_before_anything_is_done(site, odd, target):
    site.make(target, "CREATE TABLE mine (x int)")
    refused(site.restore(ODD, target=target), "precondition", target, "already")
    assert site.ask(target, "SELECT count(*) FROM mine") == 0


def test_check_mode_looks_at_everything_and_touches_nothing(site, odd, target):
    before = site.databases()
    outcome = good(site.restore(ODD, check=True, target=target))
    assert outcome["changed"]
    assert outcome["actions"] == [f"would restore {odd} into new database {target}"]
    assert site.databases() == before
    assert site.locks() == []
    refused(site.restore(ODD, check=True, target=ODD), "precondition", "already")


def test_nothing_but_the_contents_is_ever_in_scratch(site, odd, target, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    watcher = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import os, stat, sys\n"
            "while True:\n"
            "    for folder, _folders, names in os.walk(sys.argv[1]):\n"
            "        for name in names:\n"
            "            try: found = os.lstat(f'{folder}/{name}')\n"
            "            except OSError: continue\n"
            "            if stat.S_ISREG(found.st_mode) and found.st_size:\n"
            "                print(name, flush=True)\n",
            str(scratch),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        good(site.restore(ODD, target=target, scratch=str(scratch)))
    finally:
        watcher.kill()
        seen = set(watcher.communicate()[0].split())
    assert seen <= {"toc.dat", "list"}
    assert list(scratch.iterdir()) == []


# --- who may do it ----------------------------------------------------------------------------


def test_an_owner_who_is_no_superuser_restores_what_is_his(site, target):
    site.make("theirs", CONTENTS, as_owner=True)
    try:
        site.backup("theirs", as_owner=True)
        outcome = good(site.restore("theirs", as_owner=True, target=target))
        assert outcome["state"]["rows"] == ROWS
        assert site.schema(target) == site.schema("theirs")
    finally:
        site.drop("theirs")


def test_rows_that_a_policy_hides_from_their_owner_are_not_taken_for_lost(site, target):
    forced = "ALTER TABLE secret FORCE ROW LEVEL SECURITY"
    site.make("forced", CONTENTS + forced, as_owner=True)
    try:
        refused(site.try_backup("forced", as_owner=True), "auth", "row-level security", "BYPASSRLS")
        site.backup("forced")
        for as_owner in (True, False):
            good(site.restore("forced", as_owner=as_owner, target=target))
            assert site.ask(target, "SELECT count(*) FROM secret") == 2
            assert site.schema(target) == site.schema("forced")
            site.drop(target)
    finally:
        site.drop("forced")


def test_what_others_own_is_not_silently_given_away(site, odd, target):
    refused(site.restore(ODD, as_owner=True, target=target), "auth", "postgres", "owners: false")
    good(site.restore(ODD, as_owner=True, target=target, owners=False))
    owned = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
    assert site.ask(target, owned) == "cost_agent"


def test_a_role_that_may_not_create_databases_is_told(site, odd):
    with site.session() as cursor:
        cursor.execute("CREATE ROLE poor LOGIN PASSWORD 'p-9317'")
    outcome = site.restore(ODD, user="poor", password="p-9317", password_file=None)
    refused(outcome, "auth", "poor", "CREATEDB")


@pytest.fixture
def with_roles(site) -> Iterator[str]:
    """A database whose roles are gone since its backup."""
    roles = ("gone owner", "gone_reader", "gone_group")
    names = [sql.Identifier(role) for role in roles]
    site.make("with_roles", "CREATE TABLE t (x int); INSERT INTO t VALUES (1)")
    with site.session("with_roles") as cursor:
        for name in names:
            cursor.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'planted-77'").format(name))
        cursor.execute('GRANT gone_group TO "gone owner"')
        cursor.execute('ALTER TABLE t OWNER TO "gone owner"')
        cursor.execute("GRANT SELECT ON t TO gone_reader")
    site.backup("with_roles")
    site.drop("with_roles")
    with site.session() as cursor:
        for name in names:
            cursor.execute(sql.SQL("DROP ROLE {}").format(name))
    yield "with_roles"
    with site.session() as cursor:
        for name in names:
            cursor.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(name))


def test_missing_roles_are_named_before_anything_is_created(site, with_roles, target):
    outcome = refused(site.restore(with_roles, target=target), "precondition", "create_roles")
    assert "gone owner, gone_reader" in outcome["msg"]
    assert target not in site.databases()


def test_missing_roles_are_created_without_passwords_when_asked(site, with_roles, target):
    outcome = good(site.restore(with_roles, target=target, create_roles=True))
    assert any("gone owner" in note and "password" in note for note in outcome["state"]["notes"])
    assert site.ask(target, "SELECT tableowner FROM pg_tables WHERE tablename = 't'") == (
        "gone owner"
    )
    assert site.ask(target, "SELECT has_table_privilege('gone_reader', 't', 'SELECT')")
    assert site.ask(target, "SELECT pg_has_role('gone owner', 'gone_group', 'MEMBER')")
    assert site.ask(
        "postgres", "SELECT rolpassword FROM pg_authid WHERE rolname='gone_reader'"
    ) is (None)
    site.drop(target)


def test_without_owners_no_role_is_missed(site, with_roles, target):
    good(site.restore(with_roles, target=target, owners=False))
    assert site.ask(target, "SELECT tableowner FROM pg_tables WHERE tablename = 't'") == "postgres"


# --- encodings and collations -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "value"), [("SQL_ASCII", r"'\351'"), ("LATIN1", "'é'"), ("UTF8", "'é'")]
)
def test_every_encoding_keeps_its_bytes(site, target, encoding, value):
    how = f"TEMPLATE template0 ENCODING '{encoding}' LOCALE_PROVIDER libc LOCALE 'C'"
    site.make("encoded", f"CREATE TABLE t AS SELECT E{value} AS text", how=how)
    try:
        site.backup("encoded")
        good(site.restore("encoded", target=target))
        assert site.ask(target, "SHOW server_encoding") == encoding
        look = "SELECT encode(text::bytea, 'hex') FROM t"
        assert site.ask(target, look) == site.ask("encoded", look)
    finally:
        site.drop("encoded")


def test_a_collation_of_its_own_comes_back(site, target):
    how = "TEMPLATE template0 LOCALE_PROVIDER libc LC_COLLATE 'POSIX' LC_CTYPE 'C'"
    site.make("collated", "CREATE TABLE t (x text)", how=how)
    try:
        site.backup("collated")
        good(site.restore("collated", target=target))
        look = "SELECT ROW(datlocprovider, datcollate, datctype, datlocale)::text FROM pg_database"
        assert site.ask("postgres", f"{look} WHERE datname = '{target}'") == site.ask(
            "postgres", f"{look} WHERE datname = 'collated'"
        )
    finally:
        site.drop("collated")


def test_a_locale_that_the_server_lacks_is_told_and_leaves_nothing(site, odd, target):
    manifest = site.manifest(ODD, odd)
    properties = manifest.properties.__class__(
        **{**vars(manifest.properties), "locale_provider": "c", "collate": "xx_XX.UTF-8"}
    )
    site.change_manifest(ODD, odd, properties=properties)
    try:
        refused(site.restore(ODD, target=target), "precondition", "xx_XX.UTF-8", "locale")
    finally:
        site.manifest_path(ODD, odd).write_bytes(json_of(manifest))
    assert target not in site.databases()


def json_of(manifest) -> bytes:
    from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.manifest import (
        render,
    )

    return render(manifest)


# --- encryption -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sealed(site) -> Iterator[tuple[str, x25519.Identity]]:
    """An encrypted database of one table, and the key that opens its backup."""
    key = x25519.Identity.generate()
    site.make("sealed", "CREATE TABLE t AS SELECT generate_series(1, 100000) AS x")
    site.backup("sealed", recipients=[str(key.to_public())])
    yield "sealed", key
    site.drop("sealed")


def test_an_encrypted_backup_restores_with_its_key(site, sealed, target, tmp_path):
    database, key = sealed
    file = tmp_path / "key"
    file.write_text(f"# created now\n{key}\n")
    assert good(site.restore(database, target=target, identity_file=str(file)))["state"][
        "rows"
    ] == (100000)
    site.drop(target)
    good(site.restore(database, target=target, identity=str(key)))


def test_without_a_key_or_with_a_wrong_one_nothing_is_created(site, sealed, target):
    database, key = sealed
    public = str(key.to_public())
    refused(site.restore(database, target=target), "precondition", public, "identity")
    wrong = str(x25519.Identity.generate())
    outcome = refused(site.restore(database, target=target, identity=wrong), "auth", public)
    assert wrong not in str(outcome)
    refused(site.restore(database, target=target, identity="nonsense"), "invalid_input")
    assert target not in site.databases()


# --- swap and undo ----------------------------------------------------------------------------


@pytest.fixture
def service(site) -> Iterator[str]:
    """A backed up database of the owner's that has changed since."""
    contents = "CREATE TABLE state AS SELECT 'backed up' AS word"
    site.make("service", contents, as_owner=True)
    site.backup("service", as_owner=True)
    with site.session("service") as cursor:
        cursor.execute("UPDATE state SET word = 'changed since'")
    yield "service"
    for name in site.databases("service"):
        site.drop(name)


def state(site: RestoreSite, database: str) -> str:
    return str(site.ask(database, "SELECT word FROM state"))


def test_a_swap_puts_the_backup_in_place_and_keeps_what_was_there(site, service):
    swapped = good(site.restore(service, as_owner=True, swap=True, confirm=service))
    kept = swapped["state"]["swap"]["kept"]
    assert (state(site, service), state(site, kept)) == ("backed up", "changed since")
    assert kept.startswith("service_before_")
    assert swapped["state"]["swap"]["downtime_s"] > 0
    assert site.databases("service") == [service, kept]
    undone = good(site.restore(service, as_owner=True, undo=True, confirm=service))
    assert state(site, service) == "changed since"
    assert undone["state"]["swap"]["kept"].startswith("service_undone_")


@pytest.mark.parametrize("confirm", [None, "", "other"])
@pytest.mark.parametrize("wish", [{"swap": True}, {"undo": True}])
def test_what_replaces_a_database_wants_its_name_said(site, service, wish, confirm):
    for check in (True, False):
        outcome = site.restore(service, check=check, confirm=confirm, **wish)
        refused(outcome, "precondition", "confirm: service")
    assert site.databases("service") == [service]


def test_check_mode_says_what_a_swap_would_do(site, service):
    outcome = good(site.restore(service, check=True, swap=True, confirm=service))
    assert "would swap" in outcome["actions"][1]
    assert site.databases("service") == [service]
    refused(
        site.restore(service, check=True, undo=True, confirm=service), "precondition", "nothing"
    )


def test_where_the_database_is_gone_a_swap_brings_it_back(site, service):
    site.drop(service)
    outcome = good(site.restore(service, swap=True, confirm=service))
    assert state(site, service) == "backed up"
    assert outcome["state"]["swap"]["kept"] == ""


def test_a_restore_whose_swap_fails_is_kept_and_swapped_in_later(site, service):
    with site.session() as cursor:
        cursor.execute("CREATE ROLE other LOGIN PASSWORD 'other'")
    import threading

    import psycopg2

    server = site.login()
    stop = threading.Event()

    def hold_when_restored() -> None:
        """A session that the owner may not end comes to the old database behind the checks."""
        while not any("_restore_" in name for name in site.databases("service")):
            stop.wait(0.01)
        connection = psycopg2.connect(
            host=server["host"], port=server["port"], user=server["user"], dbname=service,
            password=Path(str(server["password_file"])).read_text().strip(),
        )  # fmt: skip
        stop.wait(60)
        connection.close()

    thread = threading.Thread(target=hold_when_restored)
    thread.start()
    try:
        outcome = site.restore(service, as_owner=True, swap=True, confirm=service)
        refused(outcome, "locked", "swap_from")
        assert outcome["state"]["rows"] == 1
    finally:
        stop.set()
        thread.join()
    restored = outcome["state"]["restored_as"]
    assert state(site, service) == "changed since"
    later = {"swap": True, "swap_from": restored, "confirm": service}
    good(site.restore(service, as_owner=True, check=True, **later))
    good(site.restore(service, as_owner=True, **later))
    assert state(site, service) == "backed up"


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({"jobs": 0}, "jobs"),
        ({"jobs": 99}, "jobs"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"timeout_s": float("nan")}, "timeout_s"),
        ({"undo": True, "swap": True, "confirm": "service"}, "undo"),
        ({"undo": True, "target": "x", "confirm": "service"}, "undo"),
        ({"swap": True, "target": "x", "confirm": "service"}, "target"),
        ({"swap_from": "x"}, "swap_from"),
        ({"target": "x" * 64}, "target"),
        ({"repository": "ftp://x"}, "repository"),
        ({"password_file": "/nonexistent"}, "password_file"),
        ({"identity_file": "/nonexistent"}, "identity_file"),
    ],
)
def test_options_that_make_no_sense_are_refused(site, changes, option):
    refused(site.restore("service", **changes), "invalid_input", option)


# --- from S3 ----------------------------------------------------------------------------------


def test_it_all_works_from_s3_too(site, target):
    from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.postgres_backup import (
        POSTGRES_BACKUP,
    )

    s3 = site.stack["s3"]
    secrets = {name: Path(str(s3[f"{name}_file"])).read_text().strip() for name in
               ("access_key", "secret_key")}  # fmt: skip
    place = {
        "repository": f"s3://{s3['bucket']}/restores",
        "s3": {"endpoint_url": s3["endpoint_url"], "region": s3["region"], **secrets},
    }
    site.make("in_s3", "CREATE TABLE t AS SELECT generate_series(1, 300000) AS x")
    try:
        good(run_operation(POSTGRES_BACKUP, **{**site.options("in_s3", {}), **place}))
        outcome = good(site.restore("in_s3", target=target, **place))
        assert outcome["state"]["rows"] == 300000
        assert secrets["secret_key"] not in str(outcome)
    finally:
        site.drop("in_s3")


# --- what is left of killed runs --------------------------------------------------------------


def test_only_databases_of_runs_that_are_gone_are_leftovers(site, odd, target):
    def comment(name: str, text: str) -> None:
        with site.session() as cursor:
            statement = sql.SQL("COMMENT ON DATABASE {} IS {}")
            cursor.execute(statement.format(sql.Identifier(name), sql.Literal(text)))

    def mark(database: str, valid_s: float) -> str:
        return Marker.of_this_run("restore", database, odd, SystemClock(), valid_s).render()

    left = {
        f"{ODD}_restore_20250101000000": mark(ODD, -60),
        f"{ODD}_drill_20250101000000": mark(ODD, -60),
        f"{ODD}_target": mark(ODD, -60),
    }
    others = {
        f"{ODD}_restore_20250102000000": mark(ODD, 60),
        f"{ODD}_restore_20250103000000": "a restore that somebody keeps",
        f"{ODD}_restored": mark("another", -60),
    }
    try:
        for name, text in {**left, **others}.items():
            site.make(name, "")
            comment(name, text)
        with site.session() as cursor:  # frozen by somebody, or killed before it had its mark
            unmarked = f"{ODD}_restore_20250104000000"
            statement = sql.SQL("CREATE DATABASE {} ALLOW_CONNECTIONS false")
            cursor.execute(statement.format(sql.Identifier(unmarked)))
        outcome = good(site.restore(ODD, target=target))
        assert sorted(outcome["actions"][:-1]) == sorted(
            f"dropped {name}, which a killed run left" for name in left
        )
        assert any(note.startswith(f"{unmarked} has no mark") for note in outcome["state"]["notes"])
        assert set(site.databases(f"{ODD}_")) == {*others, unmarked}
    finally:
        for name in site.databases(f"{ODD}_"):
            site.drop(name)


SUBSCRIBER = "subscriber"
SUBSCRIPTION = """
CREATE TABLE received (id int); INSERT INTO received SELECT generate_series(1, 10);
CREATE SUBSCRIPTION feed CONNECTION 'host=127.0.0.1 port=1 dbname=nowhere' PUBLICATION all_of_it
    WITH (connect = false, slot_name = 'feed_slot');
"""


@pytest.fixture
def subscriber(site) -> Iterator[str]:
    site.make(SUBSCRIBER, SUBSCRIPTION)
    site.backup(SUBSCRIBER)
    yield SUBSCRIBER
    for name in site.databases(SUBSCRIBER):
        if site.ask(name, "SELECT count(*) FROM pg_subscription WHERE subname = 'feed'"):
            with site.session(name) as cursor:
                for change in ("DISABLE", "SET (slot_name = NONE)"):
                    cursor.execute(f"ALTER SUBSCRIPTION feed {change}")
                cursor.execute("DROP SUBSCRIPTION feed")
        site.drop(name)


def test_a_subscriber_is_restored_swapped_and_drilled(site, subscriber):
    """Its subscription comes back disabled; what a drill made of it goes with the drill."""
    good(site.drill(subscriber))
    assert site.databases(subscriber) == [subscriber]
    outcome = good(site.restore(subscriber, swap=True, confirm=subscriber))
    assert outcome["state"]["notes"][0].startswith("subscription feed is disabled")
    enabled = "SELECT subenabled FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid"
    assert site.ask(subscriber, f"{enabled} WHERE datname = current_database()") is False
    assert site.ask(subscriber, "SELECT count(*) FROM received") == 10


def test_what_a_killed_restore_of_a_subscriber_left_is_dropped_too(site, subscriber, target):
    outcome = good(site.restore(subscriber, target=target))
    gone = Marker.of_this_run("restore", subscriber, "x", SystemClock(), -60).render()
    with site.session() as cursor:
        statement = sql.SQL("COMMENT ON DATABASE {} IS {}")
        cursor.execute(statement.format(sql.Identifier(target), sql.Literal(gone)))
    outcome = good(site.restore(subscriber, target=f"{SUBSCRIBER}_2"))
    assert f"dropped {target}, which a killed run left" in outcome["actions"]

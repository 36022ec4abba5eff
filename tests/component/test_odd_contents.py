# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Databases whose contents do something of their own while they are backed up and restored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.stack.stack import Stack
from tests.component.restore_site import BIN_DIR, RestoreSite, good

LOGGING = """
CREATE TABLE log (tag text);
CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO public.log VALUES (tg_tag); END $$;
CREATE EVENT TRIGGER note_everything ON ddl_command_end EXECUTE FUNCTION note();
CREATE TABLE items (id int); CREATE INDEX ON items (id);
INSERT INTO items SELECT generate_series(1, 1000);
"""
NOT_TO_BE_ANALYZED = """
CREATE TABLE rates (a int, b int);
INSERT INTO rates SELECT i, 0 FROM generate_series(1, 100) i;
CREATE STATISTICS ratio ON (a / b), a FROM rates;
CREATE TABLE calm (id int); INSERT INTO calm VALUES (1);
"""
# The shape of PostGIS's spatial_ref_sys: rows that the extension brings, and rows of the user's.
EXTENSION = "cost_agent_test_rates"
CONTROL = "default_version = '1.0'\nrelocatable = false\nschema = public\n"
SCRIPT = """
CREATE TABLE rates_known (name text PRIMARY KEY, is_own bool NOT NULL);
INSERT INTO rates_known SELECT 'brought ' || i, false FROM generate_series(1, 50) i;
SELECT pg_catalog.pg_extension_config_dump('rates_known', 'WHERE is_own');
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("odd"))
    try:
        yield stack
    finally:
        stack.down(purge=True)


@pytest.fixture
def site(stack, tmp_path) -> Iterator[RestoreSite]:
    site = RestoreSite(stack.up(only=["postgres"]), tmp_path / "repository")
    yield site
    for name in site.databases("odd"):
        site.drop(name)


def test_an_event_trigger_that_writes_changes_nothing_of_what_was_restored(site):
    site.make("odd", LOGGING)
    logged = site.ask("odd", "SELECT count(*) FROM log")
    assert logged > 0
    site.backup("odd")
    good(site.drill("odd"))
    good(site.restore("odd", target="odd_restored"))
    assert site.ask("odd_restored", "SELECT count(*) FROM log") == logged
    assert site.schema("odd_restored") == site.schema("odd")


def test_a_table_that_cannot_be_analyzed_is_a_note(site):
    site.make("odd", NOT_TO_BE_ANALYZED)
    site.backup("odd")
    for outcome in (site.restore("odd", target="odd_restored"), site.drill("odd")):
        (note,) = good(outcome)["state"]["notes"]
        assert note.startswith("public.rates could not be analyzed: division by zero")
    analyzed = "SELECT reltuples FROM pg_class WHERE relname = 'calm'"
    assert site.ask("odd_restored", analyzed) == 1


@pytest.fixture
def extension() -> Iterator[str]:
    shared = Path(BIN_DIR).parent / "share"
    (folder,) = [path.parent for path in shared.rglob("plpgsql.control")]
    files = {f"{EXTENSION}.control": CONTROL, f"{EXTENSION}--1.0.sql": SCRIPT}
    for name, text in files.items():
        (folder / name).write_text(text)
    yield EXTENSION
    for name in files:
        (folder / name).unlink()


def test_rows_that_an_extension_brings_stay_beside_those_of_the_dump(site, extension):
    site.make("odd", f"CREATE EXTENSION {extension}; INSERT INTO rates_known VALUES ('mine', true)")
    site.backup("odd")
    good(site.drill("odd"))
    outcome = good(site.restore("odd", target="odd_restored"))
    assert outcome["state"]["rows"] == 1
    for name in ("odd", "odd_restored"):
        assert site.ask(name, "SELECT count(*) FROM rates_known") == 51


SETTINGS = [
    "SET search_path = public, pg_catalog",
    "SET standard_conforming_strings = off",
    "SET default_transaction_read_only = on",
    "SET transaction_timeout = '50ms'",
    "SET datestyle = 'German, DMY'",
    "SET intervalstyle = 'sql_standard'",
    "SET bytea_output = 'escape'",
    "SET quote_all_identifiers = on",
    "SET client_encoding = 'LATIN1'",
    "SET row_security = on",
]
TIMES = """
CREATE TABLE times (at timestamptz, took interval, raw bytea, "T i" text);
INSERT INTO times SELECT timestamptz '2025-02-01 12:00' + i * interval '1 day',
    interval '-1 day 2 hours' * i, convert_to('ä' || i, 'UTF8'), E'back\\\\slash ''quoted'' ' || i
FROM generate_series(1, 100) i;
"""


@pytest.mark.parametrize("setting", SETTINGS)
def test_no_setting_of_a_role_or_a_database_changes_a_row(site, setting):
    site.make("odd", TIMES)
    whole = "SELECT md5(string_agg(t::text, ',' ORDER BY at)) FROM times t"
    expected = site.ask("odd", whole)
    superuser = site.login()["user"]
    with site.session() as cursor:
        cursor.execute(f"ALTER DATABASE odd {setting}; ALTER ROLE {superuser} {setting}")
    try:
        site.backup("odd")
        good(site.restore("odd", target="odd_restored"))
        good(site.restore("odd", swap=True, confirm="odd"))
    finally:
        with site.session() as cursor:
            cursor.execute("SET default_transaction_read_only = off; SET transaction_timeout = 0")
            cursor.execute(f"ALTER ROLE {superuser} RESET ALL; ALTER DATABASE odd RESET ALL")
    with site.session() as cursor:
        cursor.execute("ALTER DATABASE odd_restored RESET ALL")
    assert site.ask("odd_restored", whole) == expected
    assert site.ask("odd", whole) == expected

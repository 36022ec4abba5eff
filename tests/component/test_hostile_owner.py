# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing that a database's owner has put into it is run by the superuser who backs it up.

The owner shadows every function, operator and view of PostgreSQL's own that may be shadowed, and
has his schema searched first. What is run of it says so in the server's log.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.postgres_backup import (
    POSTGRES_BACKUP,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.connection_pool_info import (
    CONNECTION_POOL_INFO,
)

from demo.stack.stack import Stack
from tests.component.operations import run_operation
from tests.component.restore_site import RestoreSite, good

HOSTILE = "hostile"
SHADOWS = r"""
CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 100);
CREATE INDEX ON t (id);
SELECT pg_catalog.lo_from_bytea(0, 'a large object');

CREATE FUNCTION public.run(what text) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN RAISE LOG 'shadow was run: %', what; RETURN true; END $$;

DO $$
DECLARE f record; o record; v record; made int := 0;
BEGIN
    FOR f IN SELECT p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid) AS arguments,
                    pg_catalog.format_type(p.prorettype, NULL) AS result, p.proretset
             FROM pg_catalog.pg_proc p
             WHERE p.pronamespace = 'pg_catalog'::pg_catalog.regnamespace AND p.prokind = 'f'
    LOOP
        BEGIN
            EXECUTE pg_catalog.format(
                'CREATE FUNCTION public.%I(%s) RETURNS %s %s LANGUAGE plpgsql AS %L',
                f.proname, f.arguments, CASE WHEN f.proretset THEN 'SETOF' ELSE '' END, f.result,
                pg_catalog.format('BEGIN PERFORM public.run(%L); RETURN%s; END', f.proname,
                    CASE WHEN f.proretset OR f.result = 'void' THEN '' ELSE ' NULL' END));
            made := made + 1;
        EXCEPTION WHEN OTHERS THEN NULL;  -- pseudo-types, and functions with OUT parameters
        END;
    END LOOP;
    -- One for a literal, which is of no type yet, beats PostgreSQL's own with (oid, name).
    EXECUTE 'CREATE FUNCTION public.shobj_description(oid, text) RETURNS text LANGUAGE plpgsql AS '
        || pg_catalog.quote_literal('BEGIN PERFORM public.run(''text''); RETURN NULL; END');
    FOR o IN SELECT oprname, pg_catalog.format_type(oprleft, NULL) AS l,
                    pg_catalog.format_type(oprright, NULL) AS r,
                    pg_catalog.format_type(oprresult, NULL) AS result, oid
             FROM pg_catalog.pg_operator
             WHERE oprnamespace = 'pg_catalog'::pg_catalog.regnamespace AND oprleft <> 0
    LOOP
        BEGIN
            EXECUTE pg_catalog.format(
                'CREATE FUNCTION public.operator_%s(%s, %s) RETURNS %s LANGUAGE plpgsql AS %L',
                o.oid, o.l, o.r, o.result,
                pg_catalog.format('BEGIN PERFORM public.run(%L); RETURN NULL; END', o.oprname));
            EXECUTE pg_catalog.format(
                'CREATE OPERATOR public.%s (FUNCTION = public.operator_%s, LEFTARG = %s, RIGHTARG = %s)',
                o.oprname, o.oid, o.l, o.r);
            made := made + 1;
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
    FOR v IN SELECT relname FROM pg_catalog.pg_class
             WHERE relnamespace = 'pg_catalog'::pg_catalog.regnamespace AND relkind IN ('r', 'v')
    LOOP
        BEGIN
            EXECUTE pg_catalog.format(
                'CREATE VIEW public.%I AS SELECT * FROM pg_catalog.%I WHERE public.run(%L)',
                v.relname, v.relname, v.relname);
            made := made + 1;
        EXCEPTION WHEN OTHERS THEN NULL;  -- what an owner may not read, and anyarray
        END;
    END LOOP;
    ASSERT made > 2000, made;
END $$;
ALTER DATABASE hostile SET search_path = public, pg_catalog;
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return Path(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="module")
def site(folder) -> Iterator[RestoreSite]:
    stack = Stack(folder / "stack")
    try:
        made = RestoreSite(stack.up(only=["postgres"]), folder / "repository")
        made.make(HOSTILE, SHADOWS, as_owner=True)
        yield made
    finally:
        stack.down(purge=True)


@pytest.fixture
def run_of_it(folder) -> Iterator[list[str]]:
    """What was run while the test was, once it is over."""
    log = folder / "stack" / "log" / "postgres.log"
    before = log.stat().st_size
    found: list[str] = []
    yield found
    found += [line for line in log.read_text()[before:].splitlines() if "shadow was run" in line]
    assert found == []


def test_the_shadows_are_what_a_careless_session_runs(site, folder):
    with site.session(HOSTILE) as cursor:
        cursor.execute("SELECT shobj_description(oid, 'pg_database') FROM pg_database")
        cursor.execute("SELECT 1 + 1")
    log = (folder / "stack" / "log" / "postgres.log").read_text()
    for name in ("text", "pg_database", "+"):
        assert f"shadow was run: {name}\n" in log


@pytest.mark.usefixtures("run_of_it")
def test_none_is_run_by_backup_restore_drill_swap_and_undo(site):
    options = site.options(HOSTILE, {})
    good(run_operation(POSTGRES_BACKUP, check=True, **options))
    site.backup(HOSTILE)
    good(site.restore(HOSTILE, target="beside"))
    good(site.drill(HOSTILE, checks=[{"name": "rows", "query": "SELECT 7", "expect": "7"}]))
    good(site.restore(HOSTILE, swap=True, confirm=HOSTILE))
    good(site.restore(HOSTILE, swap=True, confirm=HOSTILE))  # from within a swapped one
    good(site.restore(HOSTILE, undo=True, confirm=HOSTILE))


@pytest.mark.usefixtures("run_of_it")
def test_none_is_run_by_who_counts_the_sessions(site, tmp_path):
    database = {**site.login(), "name": HOSTILE}
    good(run_operation(CONNECTION_POOL_INFO, home=str(tmp_path), database=database, looks=1))

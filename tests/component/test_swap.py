# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The swap on a real server: what is carried over, what is in the way, and what a kill leaves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.server.connection import (
    connect,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.server.database_properties import (  # noqa: E501
    read_properties,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.swap.swap import (
    list_kept,
)
from psycopg2 import sql

from demo.stack.stack import Stack
from tests.component.swap_site import SwapSite
from tests.load.continuous import Load
from tests.waiting import eventually

NAME = "costs"
RESTORED = "costs_restore_20250123020000"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwapSite]:
    """A server that allows prepared transactions and logical slots, which need a restart."""
    stack = Stack(tmp_path_factory.mktemp("stack"))
    try:
        first = SwapSite(stack.up(only=["postgres"])["postgres"])
        first.run("ALTER SYSTEM SET max_prepared_transactions = 2")
        first.run("ALTER SYSTEM SET wal_level = logical")
        first.close()
        stack.down()
        site = SwapSite(stack.up(only=["postgres"])["postgres"])
        yield site
        site.close()
    finally:
        stack.down(purge=True)


@pytest.fixture
def databases(site: SwapSite) -> Iterator[SwapSite]:
    """The one in use and the restored one, both the owner's."""
    site.make(NAME, "old")
    site.make(RESTORED, "new")
    yield site
    site.remove(NAME)


# --- what it does -----------------------------------------------------------------------------


def test_restored_serves_under_the_name_and_the_old_one_is_kept(databases: SwapSite) -> None:
    swap = databases.swap_in(RESTORED, NAME)
    assert (databases.marker(NAME), databases.marker(swap.kept)) == ("new", "old")
    assert RESTORED not in databases.names()


def test_undo_puts_the_old_one_back_and_keeps_the_new(databases: SwapSite) -> None:
    databases.swap_in(RESTORED, NAME)
    undone = databases.undo(NAME)
    assert (databases.marker(NAME), databases.marker(undone.kept)) == ("old", "new")


def test_undo_can_be_undone_by_name(databases: SwapSite) -> None:
    databases.swap_in(RESTORED, NAME)
    undone = databases.undo(NAME)
    databases.undo(NAME, undone.kept)
    assert databases.marker(NAME) == "new"


def test_undo_takes_the_newest(databases: SwapSite) -> None:
    databases.swap_in(RESTORED, NAME)
    databases.make("another", "newest")
    databases.swap_in("another", NAME)
    databases.undo(NAME)
    assert databases.marker(NAME) == "new"


def test_undo_with_nothing_kept_says_so(databases: SwapSite) -> None:
    with pytest.raises(OperationError, match="nothing is kept beside it") as caught:
        databases.undo(NAME)
    assert caught.value.reason is Reason.PRECONDITION


def test_swap_for_a_database_that_was_dropped_is_one_rename(databases: SwapSite) -> None:
    databases.run(sql.SQL("DROP DATABASE {}").format(sql.Identifier(NAME)))
    swap = databases.swap_in(RESTORED, NAME)
    assert (swap.kept, swap.downtime_s, databases.marker(NAME)) == ("", 0.0, "new")


def test_undo_after_the_new_one_was_dropped_brings_the_old_one_back(databases: SwapSite) -> None:
    databases.swap_in(RESTORED, NAME)
    databases.run(sql.SQL("DROP DATABASE {}").format(sql.Identifier(NAME)))
    databases.undo(NAME)
    assert databases.marker(NAME) == "old"


def test_kept_databases_are_listed_with_size_and_age(databases: SwapSite) -> None:
    swap = databases.swap_in(RESTORED, NAME)
    undone = databases.undo(NAME)
    with databases.session("postgres") as connection:
        (kept,) = list_kept(connection, NAME, time.time() + 3600)
    assert (kept.name, kept.kind) == (undone.kept, "undone")
    assert kept.size is not None
    assert kept.size > 1_000_000
    assert 3599 <= kept.age_s < 3700
    assert swap.kept not in databases.names()


@pytest.mark.parametrize(
    "name",
    [
        "Costs",
        "cost agent",
        'it\'s "quoted"; --',
        "kosten_für_größe",
        "ü" * 31,
        "x" * 63,
        "100%s",
    ],
)
def test_any_name_is_swapped_and_undone(site: SwapSite, name: str) -> None:
    site.make(name, "old")
    site.make("incoming", "new")
    try:
        swap = site.swap_in("incoming", name)
        assert site.marker(name) == "new"
        with site.session("postgres") as connection:
            assert [each.name for each in list_kept(connection, name, 0)] == [swap.kept]
        site.undo(name)
        assert site.marker(name) == "old"
    finally:
        for each in site.names():
            if each not in ("postgres", "template0", "template1", "cost_agent"):
                site.remove(each)


# --- what is carried over ---------------------------------------------------------------------


def test_owner_grants_settings_limit_and_comment_are_the_old_ones(databases: SwapSite) -> None:
    name = sql.Identifier(NAME)
    for statement in (
        "ALTER DATABASE {} CONNECTION LIMIT 25",
        "ALTER DATABASE {} SET search_path TO \"$user\", 'cost', public",
        "ALTER DATABASE {} SET statement_timeout = '7s'",
        "ALTER ROLE cost_agent IN DATABASE {} SET work_mem = '5MB'",
        "REVOKE ALL ON DATABASE {} FROM PUBLIC",
        "GRANT CONNECT ON DATABASE {} TO pg_monitor WITH GRANT OPTION",
        "COMMENT ON DATABASE {} IS 'it''s the costs'",
    ):
        databases.run(sql.SQL(statement).format(name))
    databases.run(f"COMMENT ON DATABASE {RESTORED} IS 'the marker of a restore'")
    with databases.session("postgres") as connection:
        before = read_properties(connection, NAME)
        swap = databases.swap_in(RESTORED, NAME)
        assert read_properties(connection, NAME) == before
        assert read_properties(connection, swap.kept) == before
    assert swap.notes == []


def test_what_the_owner_may_not_carry_over_is_said(databases: SwapSite) -> None:
    databases.run(f"ALTER DATABASE {NAME} SET log_statement = 'all'")
    databases.run("CREATE ROLE reporting")
    databases.run(f"ALTER ROLE reporting IN DATABASE {NAME} SET work_mem = '5MB'")
    try:
        notes = databases.swap_in(RESTORED, NAME).notes
    finally:
        databases.run("DROP ROLE reporting")
    assert len(notes) == 2
    assert notes[0].startswith("setting log_statement=all is not carried over: permission denied")
    assert notes[1].startswith("setting work_mem=5MB of role reporting is not carried over")


# --- under load -------------------------------------------------------------------------------


def test_requests_fail_only_inside_the_downtime(databases: SwapSite) -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")

    def new_connection() -> object:
        return connect(databases.owner, NAME, "test")

    engine = sqlalchemy.create_engine(
        "postgresql+psycopg2://", creator=new_connection, pool_size=20, pool_pre_ping=True
    )
    seen: set[tuple[str, bool]] = set()

    def select() -> None:
        began = time.time()
        with engine.connect() as connection:
            marker = connection.scalar(sqlalchemy.text("SELECT text FROM public.marker"))
        seen.add((marker, bool(swaps) and began > swaps[0].down_until))

    swaps = []
    with Load([select] * 8) as load:
        load.wait_for(100)
        swaps.append(databases.swap_in(RESTORED, NAME))
        load.wait_for(200)
    engine.dispose()
    (swap,) = swaps
    assert swap.sessions_ended > 0
    assert not load.failed_outside(swap.down_from, swap.down_until)
    assert ("new", True) in seen
    assert ("old", True) not in seen
    assert swap.downtime_s < 2.0


# --- what is in the way: the old database serves on, and the message says who ------------------


def assert_untouched(site: SwapSite) -> None:
    assert (site.marker(NAME), site.marker(RESTORED)) == ("old", "new")


def test_session_of_a_superuser_is_named_and_nobody_is_ended(databases: SwapSite) -> None:
    with databases.session(NAME, databases.superuser) as foreign, databases.session(NAME) as ours:
        with pytest.raises(OperationError) as caught:
            databases.swap_in(RESTORED, NAME)
        ours.cursor().execute("SELECT 1")
        pid = foreign.get_backend_pid()
    assert caught.value.reason is Reason.LOCKED
    assert f"pid {pid} (postgres from 127.0.0.1, optiinfra-cost-agent)" in str(caught.value)
    assert f"SELECT pg_terminate_backend({pid})" in str(caught.value)
    assert_untouched(databases)


def test_superuser_ends_the_session_of_a_superuser(databases: SwapSite) -> None:
    with databases.session(NAME, databases.superuser):
        databases.swap_in(RESTORED, NAME, databases.superuser)
    assert databases.marker(NAME) == "new"


@pytest.mark.parametrize("busy", [NAME, RESTORED])
def test_session_that_does_not_end_is_given_up_on(databases: SwapSite, busy: str) -> None:
    with databases.stuck_session(busy) as pid:
        with pytest.raises(OperationError, match=f"did not end: pid {pid}") as caught:
            databases.swap_in(RESTORED, NAME)
        assert caught.value.reason is Reason.LOCKED
        assert_untouched(databases)


def test_prepared_transaction_is_named(databases: SwapSite) -> None:
    with databases.session(NAME) as connection:
        connection.autocommit = False
        connection.tpc_begin("transfer-7")
        connection.cursor().execute("INSERT INTO public.marker VALUES ('prepared')")
        connection.tpc_prepare()
    with pytest.raises(OperationError, match="the prepared transaction transfer-7 would stay"):
        databases.swap_in(RESTORED, NAME)
    with databases.session(NAME) as connection:
        connection.cursor().execute("ROLLBACK PREPARED 'transfer-7'")
    assert_untouched(databases)


def test_logical_slot_and_subscription_are_named(databases: SwapSite) -> None:
    with databases.session(NAME, databases.superuser) as root, root.cursor() as cursor:
        cursor.execute("SELECT pg_create_logical_replication_slot('to_reports', 'pgoutput')")
        cursor.execute(
            "CREATE SUBSCRIPTION from_billing CONNECTION '' PUBLICATION p WITH (connect = false)"
        )
        cursor.execute("ALTER SUBSCRIPTION from_billing ENABLE")
    try:
        with pytest.raises(OperationError, match=r"slot to_reports and .* from_billing would"):
            databases.swap_in(RESTORED, NAME)
    finally:
        with databases.session(NAME, databases.superuser) as root, root.cursor() as cursor:
            cursor.execute("SELECT pg_drop_replication_slot('to_reports')")
            cursor.execute("ALTER SUBSCRIPTION from_billing DISABLE")
            cursor.execute("ALTER SUBSCRIPTION from_billing SET (slot_name = NONE)")
            cursor.execute("DROP SUBSCRIPTION from_billing")
    assert_untouched(databases)


def test_another_change_of_the_database_is_waited_for_a_second_only(databases: SwapSite) -> None:
    with databases.session("postgres", databases.superuser) as connection:
        connection.autocommit = False
        connection.cursor().execute(f"COMMENT ON DATABASE {NAME} IS 'not yet committed'")
        with pytest.raises(OperationError, match="another session changes one of these"):
            databases.swap_in(RESTORED, NAME)
    assert_untouched(databases)


def test_role_without_createdb_is_told(databases: SwapSite) -> None:
    databases.run("ALTER ROLE cost_agent NOCREATEDB")
    try:
        with pytest.raises(OperationError, match="ALTER ROLE cost_agent CREATEDB") as caught:
            databases.swap_in(RESTORED, NAME)
    finally:
        databases.run("ALTER ROLE cost_agent CREATEDB")
    assert caught.value.reason is Reason.AUTH
    assert_untouched(databases)


def test_database_of_another_owner_is_told(databases: SwapSite) -> None:
    databases.run(f"ALTER DATABASE {NAME} OWNER TO postgres")
    with pytest.raises(OperationError, match=f"database {NAME} belongs to postgres") as caught:
        databases.swap_in(RESTORED, NAME)
    assert caught.value.reason is Reason.AUTH
    assert_untouched(databases)


def test_restored_database_that_is_not_there_is_told(databases: SwapSite) -> None:
    with pytest.raises(OperationError, match="has no database nowhere") as caught:
        databases.swap_in("nowhere", NAME)
    assert caught.value.reason is Reason.PRECONDITION


def test_server_that_ends_the_renaming_session_is_told(databases: SwapSite) -> None:
    with databases.stuck_session(NAME), ThreadPoolExecutor(1) as pool:
        swapping = pool.submit(databases.swap_in, RESTORED, NAME)
        eventually(lambda: databases.is_locked(NAME))
        databases.run(
            "SELECT pg_terminate_backend(pid) FROM pg_locks "
            "WHERE classid = 'pg_database'::regclass AND mode = 'AccessExclusiveLock'"
        )
        with pytest.raises(OperationError, match="Look at the server's log") as caught:
            swapping.result(30)
    assert caught.value.reason is Reason.UNREACHABLE
    assert_untouched(databases)


# --- signals: SIGTERM and kill -9 --------------------------------------------------------------


def assert_swap_can_be_run_again(site: SwapSite) -> None:
    eventually(lambda: not site.is_locked(NAME))
    assert_untouched(site)
    site.swap_in(RESTORED, NAME)
    assert site.marker(NAME) == "new"


def test_kill_while_properties_are_carried_over(databases: SwapSite) -> None:
    databases.run(f"ALTER DATABASE {NAME} CONNECTION LIMIT 30")
    with databases.session("postgres", databases.superuser) as connection:
        connection.autocommit = False
        connection.cursor().execute(f"ALTER DATABASE {RESTORED} CONNECTION LIMIT 5")
        with databases.swapping(RESTORED, NAME) as process:
            eventually(databases.waits_for_lock)
            process.kill()
    assert_swap_can_be_run_again(databases)


def test_kill_between_the_renames(databases: SwapSite) -> None:
    with databases.stuck_session(NAME), databases.swapping(RESTORED, NAME) as process:
        eventually(lambda: databases.is_locked(NAME))
        process.kill()
        eventually(lambda: not databases.is_locked(NAME))
    assert_swap_can_be_run_again(databases)


def test_sigterm_between_the_renames(databases: SwapSite) -> None:
    with databases.stuck_session(NAME), databases.swapping(RESTORED, NAME) as process:
        eventually(lambda: databases.is_locked(NAME))
        process.terminate()
        process.wait(10)
        assert not databases.is_locked(NAME)
    assert_swap_can_be_run_again(databases)


def test_kill_after_the_renames_before_the_commit(databases: SwapSite) -> None:
    databases.run(f"COMMENT ON DATABASE {NAME} IS 'to be carried over'")
    with databases.session("postgres", databases.superuser) as connection:
        connection.autocommit = False
        connection.cursor().execute("LOCK TABLE pg_shdescription IN SHARE MODE")
        with databases.swapping(RESTORED, NAME) as process:
            eventually(databases.waits_for_lock)
            process.kill()
            eventually(lambda: not databases.waits_for_lock())
    assert_swap_can_be_run_again(databases)


def test_kill_after_the_commit(databases: SwapSite) -> None:
    with databases.swapping(RESTORED, NAME) as process:
        eventually(lambda: RESTORED not in databases.names())
        process.kill()
    assert databases.marker(NAME) == "new"
    databases.undo(NAME)
    assert databases.marker(NAME) == "old"


@pytest.mark.parametrize("after_s", [0.0, 0.1, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5])
def test_kill_at_any_moment_leaves_both_databases_whole(
    databases: SwapSite, after_s: float
) -> None:
    with databases.swapping(RESTORED, NAME) as process:
        time.sleep(after_s)
        process.kill()
        process.wait()
    eventually(lambda: not databases.has_sessions())
    assert databases.marker(NAME) in ("old", "new")
    assert databases.markers(NAME) == ["new", "old"]

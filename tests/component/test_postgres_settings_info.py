# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""postgres_settings_info reads a real server, whatever it is set to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.postgres_settings_info import (
    POSTGRES_SETTINGS_INFO,
)

from tests.component.operations import run_operation


@contextmanager
def superuser(stack) -> Iterator[Any]:
    server = stack["postgres"]
    connection = psycopg2.connect(
        host=server["host"],
        port=server["port"],
        user=server["superuser"],
        dbname=server["database"],
        password=Path(str(server["superuser_password_file"])).read_text().strip(),
    )
    connection.autocommit = True
    with closing(connection), connection.cursor() as cursor:
        yield cursor


@contextmanager
def tables(stack) -> Iterator[None]:
    """A large table and one that is not vacuumed; no row is stored for what ANALYZE estimated."""
    with superuser(stack) as cursor:
        cursor.execute("CREATE TABLE large (id int)")
        cursor.execute("CREATE TABLE forgotten (id int) WITH (autovacuum_enabled = off)")
        cursor.execute(
            "UPDATE pg_class SET reltuples = 5e7, relpages = 400000 WHERE relname = 'large'"
        )
        try:
            yield
        finally:
            cursor.execute("DROP TABLE large, forgotten")


def look(stack, **changes: Any) -> dict[str, Any]:
    server = stack["postgres"]
    reached = {name: server[name] for name in ("host", "port", "user", "password_file")}
    arguments = {**reached, "database": server["database"], "memory_mb": 16384, **changes}
    return run_operation(POSTGRES_SETTINGS_INFO, **arguments)


def test_the_stacks_server_has_too_little_of_a_large_machine(demo_stack):
    outcome = look(demo_stack)
    advice = {each["setting"]: each for each in outcome["state"]["advice"]}
    assert outcome["state"]["settings"]["shared_buffers"] == 64 * 1024**2
    assert advice["shared_buffers"]["advised"] == "4096MB"
    assert advice["shared_buffers"]["restart_required"]
    assert advice["autovacuum"]["verdict"] == "ok"
    assert not outcome["changed"]


def test_settings_are_read_in_their_units(demo_stack):
    with superuser(demo_stack) as cursor:
        cursor.execute("ALTER ROLE cost_agent SET work_mem = '1GB'")
        try:
            advice = look(demo_stack)["state"]["advice"]
        finally:
            cursor.execute("ALTER ROLE cost_agent RESET work_mem")
    [work_mem] = [each for each in advice if each["setting"] == "work_mem"]
    assert (work_mem["now"], work_mem["verdict"]) == ("1.00 GiB", "change")


def test_large_tables_and_forgotten_ones_are_found(demo_stack):
    with tables(demo_stack):
        advice = {each["setting"]: each for each in look(demo_stack)["state"]["advice"]}
        assert advice["autovacuum of public.large"]["advised"].endswith("= 0.002")
        assert advice["autovacuum of public.forgotten"]["advised"] == "autovacuum_enabled = on"
        assert len(look(demo_stack, tables=1)["state"]["tables"]) == 1
        assert look(demo_stack, tables=0)["state"]["tables"] == []


def test_every_line_fits_a_terminal(demo_stack):
    with tables(demo_stack):
        for table in look(demo_stack)["tables"]:
            columns = zip(*[table["columns"], *table["rows"]], strict=True)
            widths = [max(len(cell) for cell in column) for column in columns]
            assert sum(widths) + 2 * (len(widths) - 1) <= 76, table


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"memory_mb": -1}, "invalid_input"),
        ({"tables": 5000}, "invalid_input"),
        ({"port": 1}, "unreachable"),
        ({"database": "nix"}, "precondition"),
    ],
)
def test_what_cannot_be_looked_at_says_why(demo_stack, changes, reason):
    assert look(demo_stack, **changes)["reason"] == reason

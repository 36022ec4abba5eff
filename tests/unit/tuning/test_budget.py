# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection budget: who asks for how much of what, and what would fit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.budget import (
    Bouncer,
    Demand,
    Limits,
    Others,
    make_budget,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.budget_report import (
    budget_line,
    budget_table,
    next_steps,
    over_budget,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.pool_settings import (
    PoolSettings,
)

GUIDE = PoolSettings(20, 10, 30.0)
DEMAND = Demand(replicas=10, pool=GUIDE, ceiling="its autoscaler's max")
OTHERS = Others(server=14, role=2, database=3, seen="peak of 5 days")
DEFAULT = Limits(max_connections=100, superuser_reserved=3, role="agent", database="costs")
BOUNCER = Bouncer("transaction", pool_size=20, reserve_pool_size=5, max_client_conn=1000)


def test_the_guide_against_a_default_server_is_over() -> None:
    budget = make_budget(DEMAND, OTHERS, DEFAULT)
    assert not budget.within
    assert budget_line(budget) == "300 + 14 others of 97 available: over by 217"


def test_the_table_adds_up_line_by_line() -> None:
    assert budget_table(make_budget(DEMAND, OTHERS, DEFAULT)).rows == [
        ["agent at its ceiling", "10 replicas x 1 worker x (20 + 10)", "300"],
        ["", "the ceiling is its autoscaler's max", ""],
        ["others at peak", "peak of 5 days", "14"],
        ["available", "100 - 3 for superusers", "97"],
        ["over: server", "300 + 14 > 97", "217"],
    ]


def test_the_table_fits_a_terminal() -> None:
    demand = replace(DEMAND, workers=4, hosts=3, outside_pool=3)
    limits = replace(DEFAULT, reserved=5, role_limit=50, database_limit=60)
    budget = make_budget(demand, OTHERS, limits, replace(BOUNCER, other_servers=7))
    table = budget_table(budget)
    widths = [max(len(row[column]) for row in table.rows) for column in range(3)]
    assert sum(widths) + 2 * 2 <= 76


def test_a_refusal_names_the_largest_pool_that_fits_and_where_room_would_come_from() -> None:
    error = over_budget(make_budget(DEMAND, OTHERS, DEFAULT), "tune the pool of cost-agent")
    assert str(error) == (
        "Failed to tune the pool of cost-agent: at the ceiling, 10 replicas x 1 worker x "
        "(20 + 10), 300 + 14 others > 97 connections that the server has for all. With "
        "max_overflow 10 no pool_size fits; set pool_size 8 with max_overflow 0, allow 2 replicas "
        "at the most, raise max_connections to 317, put a PgBouncer in transaction mode in "
        "between, or give allow_over_budget."
    )
    assert error.reason.value == "budget"


def test_with_an_overflow_that_fits_the_largest_pool_goes_with_it() -> None:
    budget = make_budget(replace(DEMAND, pool=PoolSettings(20, 2)), OTHERS, DEFAULT)
    assert budget.largest_pool == PoolSettings(6, 2)
    assert next_steps(budget).startswith("Set pool_size 6 with max_overflow 2, ")


def test_that_nothing_fits_is_said() -> None:
    budget = make_budget(DEMAND, replace(OTHERS, server=95), DEFAULT)
    assert budget.largest_pool is None
    assert next_steps(budget).startswith("No pool fits, not one of 1 + 0: make room first, ")


@pytest.mark.parametrize("number", range(1, 12))
def test_the_largest_fits_and_one_more_does_not(number: int) -> None:
    pool = PoolSettings(50, number)
    budget = make_budget(replace(DEMAND, replicas=3, pool=pool), OTHERS, DEFAULT)
    size = budget.fit.pool_size
    assert size is not None

    def within(size: int) -> bool:
        smaller = replace(DEMAND, replicas=3, pool=PoolSettings(size, number))
        return make_budget(smaller, OTHERS, DEFAULT).within

    assert within(size)
    assert not within(size + 1)


def test_what_just_fits_is_within() -> None:
    demand = replace(DEMAND, replicas=1, pool=PoolSettings(73, 10))
    budget = make_budget(demand, OTHERS, DEFAULT)
    assert budget.within
    assert budget_line(budget) == "83 + 14 others of 97 available: 0 left"
    assert not make_budget(demand, replace(OTHERS, server=15), DEFAULT).within


@pytest.mark.parametrize("pool", [PoolSettings(5, -1), PoolSettings(0, 0)])
def test_a_pool_without_bound_never_fits(pool: PoolSettings) -> None:
    limits = replace(DEFAULT, max_connections=1_000_000)
    budget = make_budget(replace(DEMAND, pool=pool), OTHERS, limits)
    assert not budget.within
    assert "no bound + 14 others" in budget_line(budget)
    assert budget.largest_pool == PoolSettings(99_998, 0) or budget.fit.pool_size is not None


def test_hosts_workers_and_what_is_beside_the_pools_multiply() -> None:
    demand = Demand(replicas=3, pool=PoolSettings(4, 1), workers=2, hosts=2, outside_pool=1)
    budget = make_budget(demand, OTHERS, DEFAULT)
    assert budget_line(budget) == "60 + 12 beside its pools + 14 others of 97 available: 11 left"
    assert budget.rows[0].arithmetic == "2 hosts x 3 replicas x 2 workers x (4 + 1)"


def test_reserved_connections_are_nobodys() -> None:
    limits = replace(DEFAULT, reserved=5)
    budget = make_budget(replace(DEMAND, replicas=1), OTHERS, limits)
    assert budget.checks[0].available == 92
    assert "100 - 3 for superusers - 5 reserved" in [row.arithmetic for row in budget.rows]


@pytest.mark.parametrize(
    ("limits", "tightest"),
    [
        (replace(DEFAULT, role_limit=31), "role"),
        (replace(DEFAULT, database_limit=32), "database"),
        (replace(DEFAULT, role_limit=0), "role"),
    ],
)
def test_a_limit_of_the_role_or_the_database_can_be_the_tightest(
    limits: Limits, tightest: str
) -> None:
    budget = make_budget(replace(DEMAND, replicas=1), OTHERS, limits)
    assert not budget.within
    assert budget.tightest.name == tightest


def test_pooling_by_transaction_asks_the_server_for_no_more_than_its_pool() -> None:
    budget = make_budget(DEMAND, OTHERS, DEFAULT, BOUNCER)
    assert budget.within
    assert [(check.name, check.agent) for check in budget.checks] == [
        ("pgbouncer", 300),
        ("server", 25),
    ]


def test_pgbouncer_must_take_all_clients() -> None:
    budget = make_budget(DEMAND, OTHERS, DEFAULT, replace(BOUNCER, max_client_conn=100))
    assert budget.tightest.name == "pgbouncer"
    assert not budget.within


def test_pooling_by_session_gives_every_connection_one_of_the_server() -> None:
    budget = make_budget(DEMAND, OTHERS, DEFAULT, replace(BOUNCER, pool_mode="session"))
    assert budget.tightest.name == "pgbouncer pool"
    assert not budget.within


def test_the_limits_of_pgbouncer_bound_its_pool() -> None:
    bouncer = replace(BOUNCER, max_db_connections=12, other_servers=4)
    assert make_budget(DEMAND, OTHERS, DEFAULT, bouncer).checks[-1].agent == 16


@pytest.mark.parametrize(
    ("mode", "prepares", "warns"),
    [
        ("transaction", False, True),
        ("statement", False, True),
        ("transaction", True, False),
        ("session", False, False),
    ],
)
def test_prepared_statements_are_warned_of_where_pgbouncer_loses_them(
    mode: str, prepares: bool, warns: bool
) -> None:
    bouncer = replace(BOUNCER, pool_mode=mode, prepares=prepares)
    warnings = make_budget(DEMAND, OTHERS, DEFAULT, bouncer).warnings
    assert bool(warnings) == warns
    assert all("prepared statements" in warning for warning in warnings)

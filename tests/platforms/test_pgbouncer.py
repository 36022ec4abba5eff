# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection budget with a real PgBouncer between the agent and its server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres import Server, connect

from demo.stack import Addresses
from tests.component.backup_place import secret
from tests.component.needs import missing
from tests.component.pool_site import PoolSite
from tests.load.pgbouncer import PROGRAM, STATS_PASSWORD, STATS_USER, PgBouncer

LIMITS = {"max_client_conn": 400, "default_pool_size": 12, "reserve_pool_size": 3}


@contextmanager
def bouncing(folder: Path, stack: Addresses, **settings: Any) -> Iterator[tuple[PoolSite, Any]]:
    """An agent of two replicas behind a PgBouncer, and the option that tells of it."""
    if not PROGRAM.exists():
        missing("pgbouncer is not installed; scripts/install-platforms.sh installs it")
    with PgBouncer(folder / "bouncer", stack, {**LIMITS, **settings}) as bouncer:
        address = bouncer.address()
        site = PoolSite(folder / "site", stack)
        site.variables |= {"PGHOST": address["host"], "PGPORT": address["port"]}
        option = {**address, "user": STATS_USER, "password": STATS_PASSWORD}
        try:
            site.deploy()
            outcome = site.start(2)
            assert not outcome.get("failed"), outcome
            yield site, option
        finally:
            site.agent("stopped")
            site.close()


def server_behind(stack: Addresses) -> dict[str, Any]:
    server = stack["postgres"]
    return {name: server[name] for name in ("host", "port", "user", "password_file")}


def weigh(site: PoolSite, bouncer: Any, **changes: Any) -> dict[str, Any]:
    outcome = site.pool_info(
        database=server_behind(site.stack), pgbouncer=bouncer, replicas=10, **changes
    )
    assert STATS_PASSWORD not in json.dumps(outcome)
    return outcome


def test_by_transaction_ten_replicas_of_the_guide_fit_a_default_server(tmp_path, local_stack):
    with bouncing(tmp_path, local_stack, pool_mode="transaction") as (site, bouncer):
        outcome = weigh(site, bouncer, require_within_budget=True)
        assert not outcome.get("failed"), outcome["msg"]
        state = outcome["state"]
        seen = state["pgbouncer"]
        assert (seen["pool_mode"], seen["pool_size"], seen["reserve_pool_size"]) == (
            "transaction", 12, 3,
        )  # fmt: skip
        assert (seen["max_client_conn"], seen["other_clients"]) == (400, 0)
        checks = {check["name"]: check["agent"] for check in state["budget"]["checks"]}
        assert checks == {"pgbouncer": 300, "server": 15}
        assert any("prepared statements" in note for note in state["notes"])
        # Its connections to the server carry the agent's name, and are not counted twice.
        assert state["agent_sessions"] > 0
        assert state["others"]["server"] == 0, state["sessions"]


def test_too_few_clients_are_the_limit_then(tmp_path, local_stack):
    settings = {"pool_mode": "transaction", "max_client_conn": 100}
    with bouncing(tmp_path, local_stack, **settings) as (site, bouncer):
        outcome = weigh(site, bouncer, require_within_budget=True)
        assert outcome["reason"] == "budget"
        assert "> 100 connections of the pgbouncer" in outcome["msg"]


def test_by_session_its_pool_is_the_limit(tmp_path, local_stack):
    with bouncing(tmp_path, local_stack, pool_mode="session") as (site, bouncer):
        outcome = weigh(site, bouncer, require_within_budget=True)
        assert outcome["reason"] == "budget"
        assert "> 15 connections of the pgbouncer pool" in outcome["msg"]
        assert outcome["state"]["notes"] == []


def test_the_limit_of_a_database_bounds_its_pools(tmp_path, local_stack):
    settings = {"pool_mode": "transaction", "max_db_connections": 9}
    with bouncing(tmp_path, local_stack, **settings) as (site, bouncer):
        checks = weigh(site, bouncer)["state"]["budget"]["checks"]
        assert [check["agent"] for check in checks if check["name"] == "server"] == [9]


def test_our_own_sessions_are_set_up_through_it_too(tmp_path, local_stack):
    """It refuses the startup parameter `options`."""
    postgres = local_stack["postgres"]
    with PgBouncer(tmp_path / "bouncer", local_stack, {**LIMITS, "pool_mode": "session"}) as pooler:
        address = pooler.address()
        server = Server(
            host=str(address["host"]),
            port=int(address["port"]),
            user=str(postgres["user"]),
            password=secret(postgres["password_file"]),
        )
        connection = connect(server, str(postgres["database"]), "test")
        with closing(connection), connection.cursor() as cursor:
            cursor.execute("SELECT current_schemas(false), current_setting('statement_timeout')")
            assert cursor.fetchone() == ([], "0")


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        ({"password": "wrong-words"}, "auth", "password"),
        ({"database": "nix"}, "precondition", "no database nix"),
        ({"port": 1}, "unreachable", ":1"),
    ],
)
def test_a_console_that_does_not_tell(tmp_path, local_stack, changes, reason, words):
    with bouncing(tmp_path, local_stack, pool_mode="transaction") as (site, bouncer):
        outcome = weigh(site, {**bouncer, **changes})
        assert (outcome["reason"], words in outcome["msg"]) == (reason, True), outcome["msg"]

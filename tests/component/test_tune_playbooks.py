# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""tune_pool.yml and tune.yml with the guide's values: refused by a default server, applied by a
larger one.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from demo.stack.stack import Stack
from tests.component.agent_site import Site
from tests.component.backup_place import database_variables, secret
from tests.component.raised_server import SERVERS, allow_connections, as_superuser

GUIDE = {"cost_agent_pool_size": 20, "cost_agent_pool_max_overflow": 10}
PLAN = ["-e", "cost_agent_tuning_mode=plan"]
POLICY = {"cost_agent_autoscaler_min": 1, "cost_agent_autoscaler_cpu_window_s": 0}


class TunedSite(Site):
    """A site on a stack of its own, whose server a test may set up anew."""

    def __init__(self, folder: Path) -> None:
        self.stack = Stack(folder / "stack")
        self.addresses = self.stack.up(only=SERVERS)
        super().__init__(folder, self.addresses)

    def close(self) -> None:
        super().close()
        self.stack.down(purge=True)

    def run(self, playbook: str, *options: str, **variables: Any) -> Any:
        return self.play(playbook, "-e", json.dumps(variables), *options)

    @property
    def cache_variables(self) -> dict[str, Any]:
        server = self.addresses["redis"]
        return {
            "cost_agent_cache_host": server["host"],
            "cost_agent_cache_port": server["port"],
            "cost_agent_cache_password_file": str(server["password_file"]),
        }

    def cache_setting(self, name: str) -> str:
        server = self.addresses["redis"]
        password = secret(server["password_file"])
        with redis.Redis(server["host"], int(server["port"]), password=password) as client:
            return str(client.config_get(name)[name])

    def pool(self, replica: int) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.port + replica}/api/v1/health/detailed"
        with urllib.request.urlopen(url, timeout=300) as answer:
            return dict(json.load(answer)["pool"])


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[TunedSite]:
    site = TunedSite(tmp_path_factory.mktemp("tuned"))
    try:
        assert site.deploy("1.4.1").code == 0
        # The guide's autoscaler, with the small pool that the site begins with.
        run = site.run("autoscale", **POLICY)
        assert run.code == 0, run.output
        yield site
    finally:
        site.play("stop", "-e", "cost_agent_stop_grace_s=5")
        site.close()


@pytest.mark.parametrize("options", [["--check", "--diff"], []])
def test_a_default_server_refuses_the_guides_pool_with_the_table(site, options):
    pids = [site.pid(0), site.pid(1)]
    run = site.run("tune_pool", *options, **GUIDE)
    assert (run.code, run.changed) == (2, []), run.output
    result = run.result_of("connection_pool")
    assert result["reason"] == "budget"
    assert "10 replicas x 1 worker x (20 + 10), 300 + 10 beside its pools + " in result["msg"]
    assert " others > 97 connections" in result["msg"]
    assert "set pool_size 8 with max_overflow 0" in result["msg"]
    for words in ("agent at its ceiling", "300", "available", "100 - 3 for superusers"):
        assert words in run.output
    refusal = run.output.partition("failed    budget\n")[2].splitlines()
    assert not [line for line in refusal if "{" in line], run.output
    assert max(len(line) for line in refusal if "/roles/service/" not in line) <= 80
    assert [site.pid(0), site.pid(1)] == pids


def test_a_pool_that_is_refused_keeps_the_cache_as_it_is(site):
    run = site.run("tune", **GUIDE, **site.cache_variables)
    assert (run.code, run.changed) == (2, []), run.output
    assert run.result_of("connection_pool")["reason"] == "budget"
    assert site.cache_setting("maxmemory") == "0"


def test_a_cache_that_is_refused_keeps_the_pool_as_it_is(site):
    pids = [site.pid(0), site.pid(1)]
    variables = {"cost_agent_cache_settings": {"maxmemory": "2 gigs"}, **site.cache_variables}
    run = site.run("tune", cost_agent_pool_size=7, cost_agent_pool_max_overflow=0, **variables)
    assert (run.code, run.changed) == (2, []), run.output
    assert run.result_of("redis_config")["reason"] == "invalid_input"
    assert [site.pid(0), site.pid(1)] == pids


@pytest.mark.slow
def test_the_largest_pool_that_fits_is_applied(site):
    largest = {"cost_agent_pool_size": 8, "cost_agent_pool_max_overflow": 0}
    for options, would_change in ((PLAN, []), (["--check"], ["Connection pool"])):
        plan = site.run("tune_pool", *options, **largest)
        assert (plan.code, plan.changed) == (0, would_change), plan.output
    assert site.pool(0)["size"] == 4
    run = site.run("tune_pool", **largest)
    assert (run.code, run.changed) == (0, ["Connection pool"]), run.output
    assert [(site.pool(n)["size"], site.pool(n)["max_overflow"]) for n in (0, 1)] == [(8, 0)] * 2
    again = site.run("tune_pool", **largest)
    assert (again.code, again.changed) == (0, []), again.output


def test_a_mode_that_is_none_touches_nothing(site):
    run = site.run("tune_pool", cost_agent_tuning_mode="aply")
    assert (run.code, run.changed) == (2, [])
    assert "aply is neither plan nor apply" in run.output


def test_once_the_server_takes_them_the_guides_values_are_applied(site):
    allow_connections(site.stack, 400)
    run = site.run("tune_pool")  # with no variable set, it does what the guide says
    assert (run.code, run.changed) == (0, ["Connection pool"]), run.output
    assert [site.pool(n)["size"] for n in (0, 1)] == [20, 20]
    assert [site.pool(n)["max_overflow"] for n in (0, 1)] == [10, 10]
    assert "300 + 10 beside its pools" in run.result_of("connection_pool")["summary"]


@pytest.mark.parametrize(
    ("options", "would_change"),
    [
        (["--check", "--diff"], ["Connection pool", "Cache settings"]),
        (PLAN, []),
    ],
)
def test_a_plan_of_both_touches_neither_and_only_check_mode_counts_it(site, options, would_change):
    variables = {
        **site.cache_variables,
        **database_variables(site.addresses),
        "cost_agent_database_memory_mb": "16384",
        "cost_agent_pool_size": 15,
    }
    run = site.run("tune", *options, **variables)
    assert (run.code, run.changed) == (0, would_change), run.output
    advice = run.result_of("postgres_settings_info")["state"]["advice"]
    [buffers] = [each for each in advice if each["setting"] == "shared_buffers"]
    assert (buffers["verdict"], buffers["advised"] is None) == ("change", False)
    for words in ("Plan of the pool", "Plan of the cache", "maxmemory-policy", "15 + 10"):
        assert words in run.output
    assert site.pool(0)["size"] == 20
    assert site.cache_setting("maxmemory") == "0"


def test_both_are_applied_and_a_second_run_changes_nothing(site):
    run = site.run("tune", cost_agent_pool_size=15, **site.cache_variables)
    assert (run.code, run.changed) == (0, ["Connection pool", "Cache settings"]), run.output
    assert [site.pool(n)["size"] for n in (0, 1)] == [15, 15]
    assert site.cache_setting("maxmemory") == "2147483648"
    again = site.run("tune", cost_agent_pool_size=15, **site.cache_variables)
    assert (again.code, again.changed) == (0, []), again.output


@pytest.mark.slow
def test_a_load_shows_that_a_pool_was_too_small(site):
    """Two replicas with one connection each answer 60 a second of what takes 33 ms each."""
    as_superuser(
        site.addresses,
        str(site.addresses["postgres"]["database"]),
        "ALTER TABLE cost.recommendations RENAME TO all_recommendations",
        "CREATE VIEW cost.recommendations AS "
        "SELECT found.* FROM cost.all_recommendations found, pg_sleep(0.03)",
        "GRANT SELECT ON cost.recommendations TO PUBLIC",
    )
    small = {"cost_agent_pool_size": 1, "cost_agent_pool_max_overflow": 0}
    run = site.run("tune_pool", **small)
    assert run.code == 0, run.output
    report = site.folder / "report.html"
    run = site.run(
        "tune_pool",
        cost_agent_pool_size=6,
        cost_agent_pool_max_overflow=0,
        cost_agent_load_rate=80,
        cost_agent_load_s=4,
        cost_agent_load_timeout_s=60,
        cost_agent_load_path="/api/v1/recommendations",
        cost_agent_load_report=str(report),
    )
    assert run.code == 0, run.output
    before, after = [
        each["result"]["state"]
        for each in run.results
        if each["task"].endswith(("Load before", "Load after"))
        and each["action"].endswith("load_test")
    ]
    assert before["p95_ms"] > after["p95_ms"]
    assert before["most_connections_in_use"] == 1
    assert "DB_POOL_SIZE" in report.read_text()

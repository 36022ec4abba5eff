# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""tune_cache.yml as an operator runs it, against a real server with a password."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.stack import Stack
from tests.component.playbook_run import CHECKOUT, Run, run_playbook
from tests.component.redis_servers import RedisServer, redis_server

SECRET = "planted-secret-2208"
PLAN = ("-e", "cost_agent_tuning_mode=plan")


class CacheSite:
    """Two hosts that share one Redis."""

    def __init__(self, folder: Path, server: RedisServer) -> None:
        self.folder, self.server = folder, server
        self.inventory = folder / "inventory.yml"
        group = {
            "vars": {
                "ansible_connection": "local",
                "ansible_python_interpreter": "{{ ansible_playbook_python }}",
                "cost_agent_cache_host": "127.0.0.1",
                "cost_agent_cache_port": server.port,
                "cost_agent_cache_password": SECRET,
            },
            "hosts": {"one": {}, "two": {}},
        }
        self.inventory.write_text(json.dumps({"all": {"children": {"cost_agent": group}}}))

    def tune(self, *options: str) -> Run:
        return run_playbook(
            "tune_cache", self.inventory, self.folder, *options, environment={"COLUMNS": "80"}
        )


@pytest.fixture
def site(tmp_path) -> Iterator[CacheSite]:
    settings = {"requirepass": SECRET}
    with redis_server(tmp_path / "redis", settings=settings, password=SECRET) as server:
        yield CacheSite(tmp_path, server)


@pytest.fixture
def full_site(site) -> CacheSite:
    with site.server.client() as client:
        client.mset({f"key{number}": "x" * 1000 for number in range(3000)})
    return site


def settings(**values: Any) -> tuple[str, str]:
    return "-e", json.dumps({"cost_agent_cache_settings": values})


def test_a_plan_then_the_guides_settings_then_nothing(site):
    plans = [(PLAN, []), ((*PLAN, "--check"), []), (("--check", "--diff"), ["Cache settings"])]
    for options, would_change in plans:
        run = site.tune(*options)
        assert (run.code, run.changed) == (0, would_change), run.output
        assert "noeviction   allkeys-lru   kept" in run.output
        assert site.server.setting("maxmemory") == "0"

    run = site.tune()
    assert (run.code, run.changed) == (0, ["Cache settings"]), run.output
    assert site.server.setting("maxmemory") == "2147483648"
    assert site.server.setting("maxmemory-policy") == "allkeys-lru"
    again = site.tune()
    assert (again.code, again.changed) == (0, []), again.output


def test_hosts_that_share_a_cache_tune_it_once(site):
    run = site.tune()
    done = [each for each in run.results if each["action"].endswith("redis_config")]
    assert len([each for each in done if not each["result"].get("skipped")]) == 1


def test_what_is_printed_fits_a_terminal_and_has_no_secret(full_site):
    refused = full_site.tune(*settings(**{"maxmemory": "2mb", "maxmemory-policy": "allkeys-lru"}))
    applied = full_site.tune("-vvv", "--diff")
    # Ansible's own path of a task that failed is not broken, so that it can be copied.
    ours = [line for line in refused.output.splitlines() if "/roles/tuning/" not in line]
    assert max(map(len, ours)) <= 80, refused.output
    for run in (refused, applied):
        assert SECRET not in run.output
        assert SECRET not in json.dumps(run.results)


def test_eviction_is_refused_with_the_table_and_done_when_agreed_to(full_site):
    wanted = settings(**{"maxmemory": "2mb", "maxmemory-policy": "allkeys-lru"})
    refused = full_site.tune(*wanted)
    assert refused.code == 2, refused.output
    assert refused.result_of("redis_config")["reason"] == "precondition"
    assert "at once" in refused.output
    agreed = full_site.tune(*wanted, "-e", "cost_agent_cache_allow_eviction=yes")
    assert (agreed.code, agreed.changed) == (0, ["Cache settings"]), agreed.output


def test_answers_of_a_survey_are_read_as_they_are_meant(site):
    """A survey gives text: JSON in a text field, numbers and booleans in quotes, empty for unset."""
    answers = {
        "cost_agent_cache_settings": '{"maxmemory": "100mb", "maxmemory-policy": ""}',
        "cost_agent_cache_port": str(site.server.port),
        "cost_agent_cache_persist": "false",
        "cost_agent_cache_memory_limit": "",
        "cost_agent_cache_username": "",
        "cost_agent_tuning_mode": "",
    }
    run = site.tune("-e", json.dumps(answers))
    assert (run.code, run.changed) == (0, ["Cache settings"]), run.output
    assert site.server.setting("maxmemory") == "104857600"
    assert site.server.setting("maxmemory-policy") == "noeviction"
    assert "maxmemory" not in site.server.file.read_text()


@pytest.mark.parametrize("mode", ["plam", "Plan", "check"])
def test_a_mode_that_is_none_touches_nothing(site, mode):
    run = site.tune("-e", f"cost_agent_tuning_mode={mode}")
    assert run.code == 2
    assert f"{mode} is neither plan nor apply" in " ".join(run.output.split())
    assert site.server.setting("maxmemory") == "0"


def test_no_host_is_a_failure(site):
    assert site.tune("--limit", "nobody,localhost").code != 0


@pytest.fixture
def demo(tmp_path) -> Iterator[Path]:
    stack = Stack(tmp_path / "demo" / "stack")
    try:
        stack.up(only=["redis"])
        yield tmp_path / "demo"
    finally:
        stack.down(purge=True)


def test_the_local_inventory_tunes_the_demos_cache(demo, tmp_path):
    inventory = CHECKOUT / "inventories" / "local"
    run = run_playbook("tune_cache", inventory, tmp_path, "-e", f"demo_home={demo}")
    assert (run.code, run.changed) == (0, ["Cache settings"]), run.output
    again = run_playbook("tune_cache", inventory, tmp_path, "-e", f"demo_home={demo}")
    assert (again.code, again.changed) == (0, []), again.output

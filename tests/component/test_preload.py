# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the controller has imported before it forks, in an interpreter of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.component.playbook_run import CHECKOUT

PLAY = """
import gc
import sys
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play import Play
from ansible.plugins.loader import callback_loader, init_plugin_loader
from ansible.vars.manager import VariableManager

init_plugin_loader([])
loader = DataLoader()
inventory = InventoryManager(loader=loader, sources=["one,two,"])
platform, missing, hosts = sys.argv[1:]
if platform != "unset":
    inventory.get_host("one").set_variable("cost_agent_platform", platform)
if missing:
    sys.modules[missing] = None
manager = VariableManager(loader=loader, inventory=inventory)
play = Play().load({"name": "p", "hosts": hosts}, variable_manager=manager, loader=loader)
callback_loader.get("optiinfra.cost_agent.preload").v2_playbook_on_play_start(play)
assert gc.get_freeze_count() > 10_000, "the workers would copy what they share"
print(*sorted(name for name in ("docker", "kubernetes", "psycopg2") if sys.modules.get(name)))
"""


def preloaded(platform: str, missing: str = "", hosts: str = "all") -> list[str]:
    command = [sys.executable, "-c", PLAY, platform, missing, hosts]
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": f"{CHECKOUT}/.venv/collections"}
    finished = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.split()


@pytest.mark.parametrize("platform", ["docker", "kubernetes"])
def test_the_platforms_library_is_imported(platform: str) -> None:
    assert preloaded(platform) == [platform]


@pytest.mark.parametrize("platform", ["process", "systemd", "unset", "{{ theirs }}", "['docker']"])
def test_nothing_is_imported_for_others(platform: str) -> None:
    assert preloaded(platform) == []


def test_a_play_without_hosts_imports_nothing() -> None:
    assert preloaded("kubernetes", hosts="nowhere") == []


@pytest.mark.parametrize("platform", ["docker", "kubernetes"])
def test_a_library_that_is_missing_is_left_to_the_task(platform: str) -> None:
    assert preloaded(platform, missing=platform) == []

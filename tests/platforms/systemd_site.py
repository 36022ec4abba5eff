# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real agent as services of a machine, operated by playbooks: its inventory and its home."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from demo.stack import Addresses
from tests.component.agent_site import PATIENT
from tests.component.playbook_run import Run, run_playbook
from tests.platforms.agent_environment import agent_options
from tests.platforms.home import SystemdMachine
from tests.platforms.systemd_platform import AGENT_SOURCE, HOME, root_of


class SystemdSite:
    """One machine, and the inventory that an operator would have of it."""

    def __init__(
        self,
        machine: SystemdMachine,
        stack: Addresses,
        folder: Path,
        more: dict[str, Any] | None = None,
    ) -> None:
        """`more` are further variables of the machine."""
        self.machine = machine
        self.folder = folder
        self.home = root_of(machine) / HOME.lstrip("/")
        agent = agent_options(stack)
        variables = {
            **machine.inventory_variables(),
            "cost_agent_platform": "systemd",
            "cost_agent_address": machine.address,
            "cost_agent_replicas": 2,
            "cost_agent_release_source": AGENT_SOURCE,
            "cost_agent_release_wheelhouse": "/opt/wheels",
            "cost_agent_memory_limit_mb": 400,
            "cost_agent_environment": agent["environment"],
            "cost_agent_environment_secrets": agent["environment_secrets"],
            # What is slow here is the machine, which builds and tests other things too.
            "cost_agent_health_thresholds": PATIENT,
            "cost_agent_timeout_s": 240,
            "cost_agent_deploy_canary_s": 1,
            "cost_agent_deploy_soak_s": 1,
            **(more or {}),
        }
        hosts = {"cost_agent": {"hosts": {"machine": variables}}}
        self.inventory = folder / "inventory.json"
        self.inventory.write_text(json.dumps({"all": {"children": hosts}}))

    def play(self, playbook: str, *options: str) -> Run:
        return run_playbook(playbook, self.inventory, self.folder, *options)

    def deploy(self, release: str, *options: str) -> Run:
        return self.play("deploy", "-e", json.dumps({"cost_agent_release": release}), *options)

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real agent in containers, operated by playbooks: its inventory, its proxy and its load."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

from demo.stack import Addresses
from tests.component.agent_site import PATIENT, PLANTED_SECRET
from tests.component.playbook_run import Run, run_playbook
from tests.component.process_platform import reserve_ports
from tests.platforms.agent_environment import agent_options
from tests.platforms.docker_platform import remove_agents
from tests.platforms.home import Engine

# What haproxy needs to see that a replica is not ready, with its checks each 0.2 s, and to spare.
DRAIN_S = "2"


class DockerSite:
    """One agent's inventory and home, in a folder of its own."""

    def __init__(
        self, folder: Path, engine: Engine, stack: Addresses, more: dict[str, Any] | None = None
    ) -> None:
        """`more` are further variables of its one host."""
        self.folder = folder
        self.engine = engine
        remove_agents(engine)  # of a run that was killed
        self.port, self._reservation = reserve_ports(5)
        self.inventory = folder / "inventory.yml"
        self.inventory.write_text(json.dumps(self._inventory(stack, more or {})))

    def close(self) -> None:
        remove_agents(self.engine)
        self._reservation.close()

    def _inventory(self, stack: Addresses, more: dict[str, Any]) -> dict[str, Any]:
        agent = agent_options(stack, DRAIN_SECONDS=DRAIN_S)
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "cost_agent_platform": "docker",
            "cost_agent_docker": {
                "docker_host": self.engine.url,
                "read_only": True,
            },
            "cost_agent_home": f"{self.folder}/home",
            "cost_agent_state_store": f"file://{self.folder}/state",
            "cost_agent_replicas": 3,
            "cost_agent_host": "127.0.0.1",
            "cost_agent_port": self.port,
            "cost_agent_memory_limit_mb": 300,
            # What is slow here is the machine, which builds and tests other things too.
            "cost_agent_health_thresholds": PATIENT,
            "cost_agent_timeout_s": 300,
            "cost_agent_deploy_soak_s": 1,
            "cost_agent_environment": agent["environment"],
            "cost_agent_environment_secrets": {
                **agent["environment_secrets"],
                "API_TOKEN": PLANTED_SECRET,
            },
            **more,
        }
        return {"all": {"children": {"cost_agent": {"hosts": {"agent-under-test": variables}}}}}

    def play(self, playbook: str, *options: str, **variables: Any) -> Run:
        given = ["-e", json.dumps({f"cost_agent_{k}": v for k, v in variables.items()})]
        return run_playbook(playbook, self.inventory, self.folder, *given, *options)

    def ports(self, count: int = 3) -> list[int]:
        return [self.port + number for number in range(count)]

    def served(self, port: int) -> str:
        """The release that a replica says it is."""
        url = f"http://127.0.0.1:{port}/api/v1/health"
        with urllib.request.urlopen(url, timeout=300) as answer:
            return str(json.load(answer)["release"])

    def releases(self, count: int = 3) -> list[str]:
        return [self.served(port) for port in self.ports(count)]

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real agent's inventory and home, operated by playbooks, for tests and the benchmark."""

from __future__ import annotations

import atexit
import contextlib
import json
import shutil
import sysconfig
import tempfile
import urllib.request
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.component.playbook_run import CHECKOUT, Run, kill_playbook_when, run_playbook
from tests.component.process_platform import reserve_ports

DEMO_AGENT = CHECKOUT / "demo" / "agent"
PLANTED_SECRET = "planted-secret-7319"

# Limits of the health check where it is not the matter of a test how fast a busy machine is.
PATIENT = {
    "api_ms": 60000,
    "database_ms": 60000,
    "cache_ms": 60000,
    "memory_percent": 100,
    "cpu_percent": 60000,
}


# The demo agent's packages are here too, except beside another ansible-core (test-versions).
_HAS_PACKAGES = find_spec("fastapi") is not None


def _without_requirements() -> Path:
    """The demo agent's source with no packages to install; `environment` has those that are here.

    A release with packages of its own takes two seconds of a processor to install, and compiles
    them at its first start.
    """
    if not _HAS_PACKAGES:
        return DEMO_AGENT
    folder = Path(tempfile.mkdtemp(prefix="cost-agent-source-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    left_out = shutil.ignore_patterns("requirements.*", "__pycache__")
    shutil.copytree(DEMO_AGENT, folder, ignore=left_out, dirs_exist_ok=True)
    return folder


AGENT_SOURCE = _without_requirements()


class Site:
    """One agent's inventory and home, in a folder of its own."""

    def __init__(self, folder: Path, stack: dict, more: dict | None = None) -> None:
        """`more` are further variables of its one host."""
        self.folder = folder
        self.servers = stack
        self.home = folder / "home"
        self.port, self._reservation = reserve_ports(5)
        self.inventory = folder / "inventory.yml"
        self.inventory.write_text(json.dumps(self._inventory(stack, more or {})))

    def close(self) -> None:
        self._reservation.close()

    def _inventory(self, stack: dict, more: dict) -> dict:
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "cost_agent_home": str(self.home),
            "cost_agent_state_store": f"file://{self.folder}/state",
            "cost_agent_replicas": 2,
            "cost_agent_host": "127.0.0.1",
            "cost_agent_port": self.port,
            # What is watched for how long is a matter of the tests that are about it.
            "cost_agent_deploy_canary_s": 0,
            "cost_agent_deploy_soak_s": 0,
            "cost_agent_health_thresholds": PATIENT,
            "cost_agent_timeout_s": 600,
            "cost_agent_environment": environment(stack),
            "cost_agent_environment_secrets": {"API_TOKEN": PLANTED_SECRET},
            **more,
        }
        host = {"agent-under-test": variables}
        return {"all": {"children": {"cost_agent": {"hosts": host}}}}

    def play(self, playbook: str, *options: str, **environment: str) -> Run:
        return run_playbook(
            playbook, self.inventory, self.folder, *options, environment=environment
        )

    def deploy(self, release: str, source: Path = AGENT_SOURCE, *options: str) -> Run:
        return self.play("deploy", *variables(release, source), *options)

    def kill_when(self, condition: Callable[[], bool], playbook: str, *options: str) -> None:
        """Run a playbook and end its controller by SIGKILL once the condition holds."""
        kill_playbook_when(condition, playbook, self.inventory, self.folder, *options)

    def serving(self) -> dict[int, str]:
        """The release of each replica that answers, by its number."""
        found = {}
        for replica in range(5):
            with contextlib.suppress(OSError):
                found[replica] = self.served_release(replica)
        return found

    def pid(self, replica: int) -> int | None:
        """A replica's process, from its pid file; None where there is no such file."""
        path = self.home / "run" / f"cost-agent-{self.port + replica}.pid"
        with contextlib.suppress(FileNotFoundError):
            return int(path.read_text().partition("\n")[0])
        return None

    def environment(self) -> dict[str, Any]:
        """The variables that its inventory gives the agent."""
        inventory = json.loads(self.inventory.read_text())
        [host] = inventory["all"]["children"]["cost_agent"]["hosts"].values()
        return dict(host["cost_agent_environment"])

    def served_release(self, replica: int = 0) -> str:
        """What a replica answers when it is asked from outside."""
        url = f"http://127.0.0.1:{self.port + replica}/api/v1/health"
        with urllib.request.urlopen(url, timeout=300) as answer:
            return json.load(answer)["release"]


def environment(stack: dict) -> dict[str, Any]:
    """What the agent has to know of its servers."""
    postgres, redis = stack["postgres"], stack["redis"]
    return {
        "PGHOST": postgres["host"],
        "PGPORT": postgres["port"],
        "PGUSER": postgres["user"],
        "PGDATABASE": postgres["database"],
        "DATABASE_PASSWORD_FILE": postgres["password_file"],
        # Ten replicas with the guide's 20 + 10 are more than the stack's server has.
        "DB_POOL_SIZE": 4,
        "DB_MAX_OVERFLOW": 2,
        "REDIS_URL": f"redis://{redis['host']}:{redis['port']}/0",
        "REDIS_PASSWORD_FILE": redis["password_file"],
        **({"PYTHONPATH": sysconfig.get_path("purelib")} if _HAS_PACKAGES else {}),
    }


def variables(release: str, source: Path) -> list[str]:
    text = {"cost_agent_release": release, "cost_agent_release_source": str(source)}
    return ["-e", json.dumps(text)]

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent's Deployment with its autoscaler, and a real load for the pods."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.agent_autoscaler import (
    AGENT_AUTOSCALER,
)

from tests.cluster.agent_workload import deployment
from tests.cluster.reached import Cluster
from tests.component.operations import run_operation
from tests.component.playbook_run import Run, run_playbook
from tests.waiting import eventually

# Pods ask for little, so that they get many times as much also of a machine with other work.
RESOURCES = {
    "requests": {"cpu": "25m", "memory": "64Mi"},
    "limits": {"cpu": "300m", "memory": "256Mi"},
}
BUSY = {"cpu_fraction": 0.5}
_POST = """
import sys, urllib.request
headers = {"Content-Type": "application/json"}
url = "http://127.0.0.1:8001/api/v1/faults"
urllib.request.urlopen(urllib.request.Request(url, sys.argv[1].encode(), headers), timeout=300)
"""


class AutoscalingSite:
    """The agent's Deployment in a namespace, and the autoscaler of it."""

    def __init__(self, cluster: Cluster, namespace: str, folder: Path) -> None:
        self.cluster = cluster
        self.namespace = namespace
        self.folder = folder
        self.kubernetes = {"kubeconfig": str(cluster.kubeconfig), "namespace": namespace}

    def apply(self, **changes: Any) -> None:
        """The agent that can be kept busy; it needs no database to live."""
        document = deployment(replicas=3)
        document["metadata"]["namespace"] = self.namespace
        [container] = document["spec"]["template"]["spec"]["containers"]
        del container["envFrom"]
        container["env"] = [{"name": "COST_AGENT_FAULTS", "value": "1"}]
        container["readinessProbe"]["httpGet"]["path"] = "/api/v1/live"
        container.update({"resources": RESOURCES, **changes})
        self.cluster.apply_in(self.namespace, document)

    def autoscaler(self, check: bool = False, **changes: Any) -> dict[str, Any]:
        """The module, in this process."""
        kubernetes = {**self.kubernetes, **changes.pop("kubernetes", {})}
        arguments = {"platform": "kubernetes", "kubernetes": kubernetes, "cpu_window_s": 0}
        return run_operation(AGENT_AUTOSCALER, check=check, **{**arguments, **changes})

    def autoscale(self, *options: str, **variables: Any) -> Run:
        """The playbook."""
        host = {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "cost_agent_platform": "kubernetes",
            "cost_agent_kubernetes": self.kubernetes,
            "cost_agent_state_store": f"file://{self.folder}/state",
            **variables,
        }
        inventory = self.folder / "inventory.yml"
        hosts = {"children": {"cost_agent": {"hosts": {"cluster": host}}}}
        inventory.write_text(json.dumps({"all": hosts}))
        return run_playbook("autoscale", inventory, self.folder, *options)

    def get(self, *words: str) -> dict[str, Any]:
        return self.cluster.get(f"--namespace={self.namespace}", *words)

    def hpas(self) -> list[dict[str, Any]]:
        return list(self.get("hpa")["items"])

    def ready(self) -> int:
        status = self.get("deployment", "cost-agent")["status"]
        return int(status.get("readyReplicas", 0))

    def load(self, faults: dict[str, Any]) -> None:
        """Put exactly these faults in force in every pod, from its inside."""
        for pod in self.get("pods")["items"]:
            words = ("exec", pod["metadata"]["name"], "--", "python3", "-c", _POST)
            self.kubectl(*words, json.dumps(faults))

    def kubectl(self, *words: str, document: object = None) -> None:
        self.cluster.kubectl(f"--namespace={self.namespace}", *words, document=document)


def within(seconds: float, condition: Callable[[], bool]) -> float:
    """Seconds until the condition held; fails when it never did."""
    begun = time.monotonic()
    eventually(condition, seconds, every_s=0.5)
    return time.monotonic() - begun

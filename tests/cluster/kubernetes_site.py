# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real agent in pods, operated by playbooks as the shipped Role allows and no further."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

import yaml

from demo.stack import Addresses
from tests.cluster import agent_workload
from tests.cluster.kubernetes_platform import ACCOUNT, OPERATOR
from tests.cluster.reached import Cluster
from tests.component.agent_site import PATIENT, PLANTED_SECRET
from tests.component.playbook_run import CHECKOUT, Run, run_playbook


class KubernetesSite:
    """The shipped inventory's agent in a namespace of its own, with an operator's token."""

    def __init__(self, cluster: Cluster, stack: Addresses, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self.namespace = f"site-{secrets.token_hex(3)}"
        cluster.kubectl("create", "namespace", self.namespace)
        operator = yaml.safe_load(OPERATOR.read_text())["items"]
        for document in operator:
            document["metadata"]["namespace"] = self.namespace
        cluster.apply_in(self.namespace, *operator)
        kubeconfig = folder / "operator.kubeconfig"
        cluster.acting_as(self.namespace, ACCOUNT, kubeconfig)
        values = agent_workload.secret(stack)["stringData"]
        hidden = {"API_TOKEN": PLANTED_SECRET}
        hidden.update({key: values.pop(key) for key in ("PGPASSWORD", "REDIS_URL")})
        self.variables = {
            "cost_agent_kubernetes": {
                "kubeconfig": str(kubeconfig),
                "namespace": self.namespace,
            },
            "cost_agent_environment": values,
            "cost_agent_environment_secrets": hidden,
            "cost_agent_image_pull_policy": "IfNotPresent",
            "cost_agent_memory_limit_mb": 256,
            # Other tests share this machine: what is tested is what is asked, not how fast.
            "cost_agent_health_thresholds": PATIENT,
            "cost_agent_deploy_soak_s": 1,
        }

    def play(self, playbook: str, *options: str, **variables: Any) -> Run:
        extra = {**self.variables, **{f"cost_agent_{k}": v for k, v in variables.items()}}
        path = self.folder / "variables.json"
        path.write_text(json.dumps(extra))
        return run_playbook(
            playbook,
            CHECKOUT / "inventories" / "kubernetes",
            self.folder,
            "-e",
            f"@{path}",
            *options,
        )

    def images(self) -> list[str]:
        """What the ready pods run."""
        found = self.cluster.get("pods", f"--namespace={self.namespace}")["items"]
        return [
            pod["spec"]["containers"][0]["image"]
            for pod in found
            if "deletionTimestamp" not in pod["metadata"]
            and any(
                each["type"] == "Ready" and each["status"] == "True"
                for each in pod["status"].get("conditions", [])
            )
        ]

    def workload(self) -> dict[str, Any]:
        return self.cluster.get("deployment", "cost-agent", f"--namespace={self.namespace}")

    def pods(self) -> set[str]:
        return self._names("pods")

    def revisions(self) -> set[str]:
        return self._names("replicasets")

    def _names(self, kind: str) -> set[str]:
        """Of those that stay."""
        found = self.cluster.get(kind, f"--namespace={self.namespace}")["items"]
        staying = [
            each["metadata"] for each in found if "deletionTimestamp" not in each["metadata"]
        ]
        return {each["name"] for each in staying}

    def close(self) -> None:
        self.cluster.kubectl("delete", "namespace", self.namespace, "--wait=false")

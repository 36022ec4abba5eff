# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An agent in a namespace of its own, operated as the shipped Role allows and no further."""

from __future__ import annotations

import json
import secrets
import urllib.request
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.operation import Operation
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.agent_release import (
    AGENT_RELEASE,
)
from ansible_collections.optiinfra.cost_agent.tests.component.operated_platform import (
    OperatedPlatform,
)

from tests.cluster.reached import Cluster
from tests.cluster.stand_in import PORT, documents
from tests.component.operated_platform import TIMEOUT_S
from tests.component.playbook_run import CHECKOUT

OPERATOR = CHECKOUT / "roles/deploy/files/kubernetes/operator.yml"
ACCOUNT = "cost-agent-operator"


class KubernetesPlatform(OperatedPlatform):
    """A workload of stand-ins; the operations act as the operator's service account."""

    platform = "kubernetes"
    # The image and the manifest say these.
    cannot = frozenset({"workers", "app"})

    def __init__(
        self, cluster: Cluster, folder: Path, kind: str = "Deployment", **spec: Any
    ) -> None:
        self.cluster = cluster
        self.kind = kind
        self.home = folder / "agent"
        self.port = PORT
        self.namespace = f"agent-{secrets.token_hex(3)}"
        cluster.kubectl("create", "namespace", self.namespace)
        operator = yaml.safe_load(OPERATOR.read_text())["items"]
        for document in operator:
            document["metadata"]["namespace"] = self.namespace
        cluster.apply_in(self.namespace, *operator, *documents(self.namespace, kind, **spec))
        kubeconfig = folder / f"{self.namespace}.kubeconfig"
        self.operator = cluster.acting_as(self.namespace, ACCOUNT, kubeconfig)
        self.kubeconfig = kubeconfig
        self.connection: dict[str, Any] = {"kubeconfig": str(kubeconfig)}

    def close(self) -> None:
        """End it all; the namespace goes in its own time."""
        self.cluster.kubectl("delete", "namespace", self.namespace, "--wait=false")

    def end_pods(self) -> None:
        """Remove the workload and wait until its pods are gone, which takes no grace of theirs."""
        workload = ("delete", self.kind.lower(), "cost-agent", "--cascade=foreground")
        self.kubectl(*workload, "--wait=false")
        self.kubectl("delete", "pod", "--all", "--grace-period=1", "--wait=false")
        self.kubectl(*workload, "--timeout=300s", "--ignore-not-found")

    def token(self) -> str:
        """A token of the operator's."""
        return self.kubectl("create", "token", ACCOUNT).strip()

    def cluster_server(self) -> str:
        """The URL of the API server."""
        config = json.loads(self.cluster.kubectl("config", "view", "--output=json").stdout)
        return str(config["clusters"][0]["cluster"]["server"])

    # --- what an operator does ----------------------------------------------------------------

    def run(self, operation: Operation, check: bool = False, **arguments: Any) -> dict[str, Any]:
        option = {"namespace": self.namespace, "kind": self.kind, **self.connection}
        option.update(arguments.pop("kubernetes", {}))
        return super().run(operation, check, kubernetes=option, **arguments)

    def release(self, version: str) -> str:
        return f"cost-agent:{version}"

    def deploy(self, version: str, source: str = "") -> None:
        """Make a release current; one that is to fail is the image that crashes."""
        image = self.release("crash" if "raise" in source else version)
        outcome = self.run(AGENT_RELEASE, release=image, timeout_s=TIMEOUT_S)
        assert not outcome.get("failed"), outcome

    # --- what a test looks at -----------------------------------------------------------------

    def pods(self) -> list[dict[str, Any]]:
        """The pods that stay, oldest first."""
        found = self.get("pods", "--selector=app=cost-agent")["items"]
        staying = [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]
        return sorted(
            staying, key=lambda pod: (pod["status"].get("startTime", ""), pod["metadata"]["name"])
        )

    def get(self, *arguments: str) -> dict[str, Any]:
        return self.cluster.get(f"--namespace={self.namespace}", *arguments)

    def kubectl(self, *arguments: str, document: object = None) -> str:
        words = (f"--namespace={self.namespace}", *arguments)
        return self.cluster.kubectl(*words, document=document).stdout

    def patch(self, body: dict[str, Any], what: str = "") -> None:
        """A change by another hand, as a merge patch."""
        target = what or f"{self.kind.lower()}/cost-agent"
        self.kubectl("patch", target, "--type=merge", f"--patch={json.dumps(body)}")

    def workload(self) -> dict[str, Any]:
        return self.get(self.kind.lower(), "cost-agent")

    def names(self, count: int = 3) -> list[str]:
        return [pod["metadata"]["name"] for pod in self.pods()][:count]

    def pids(self) -> dict[str, str]:
        """What tells one running container from the next."""
        return {
            pod["metadata"]["name"]: status.get("containerID", "")
            for pod in self.pods()
            for status in pod["status"].get("containerStatuses", [])
        }

    def ask(self, name: str) -> dict[str, Any]:
        address = self.get("pod", name)["status"]["podIP"]
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{address}:{PORT}/self", timeout=300) as answer:
            return dict(json.load(answer))

    def tree(self) -> dict[str, str]:
        """Everything that an operation could write, less what controllers write."""
        found = {}
        for kind in ("configmaps", "secrets", f"{self.kind.lower()}s", "hpa"):
            for item in self.get(kind)["items"]:
                generation = item["metadata"].get("generation")
                data = item.get("data") or item.get("spec")
                found[f"{kind}/{item['metadata']['name']}"] = json.dumps([generation, data])
        return found

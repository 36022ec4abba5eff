# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster itself: what the other tests rely on."""

from __future__ import annotations

import json
from typing import Any
from urllib.request import ProxyHandler, build_opener

import pytest

from tests.cluster import agent_workload
from tests.cluster.reached import Cluster
from tests.waiting import eventually


def answer_of(url: str) -> dict[str, Any]:
    with build_opener(ProxyHandler({})).open(url, timeout=300) as answer:
        return json.load(answer)


@pytest.fixture(scope="module")
def agent(own_cluster: Cluster, namespace: str, pod_stack) -> str:
    """The name of a Deployment and Service of the demo agent with one ready pod."""
    own_cluster.apply_in(
        namespace,
        agent_workload.secret(pod_stack),
        agent_workload.deployment(),
        agent_workload.service(),
    )
    own_cluster.kubectl(
        "rollout", "status", "deployment/cost-agent", f"--namespace={namespace}", "--timeout=300s"
    )
    return "cost-agent"


def test_every_node_is_ready(cluster):
    cluster.kubectl("wait", "node", "--all", "--for=condition=Ready", "--timeout=300s")

    assert cluster.nodes


def test_pod_answers_through_its_service_and_under_its_own_address(own_cluster, namespace, agent):
    service = own_cluster.get("service", agent, f"--namespace={namespace}")
    pods = own_cluster.get("pods", f"--selector=app={agent}", f"--namespace={namespace}")

    for address in (service["spec"]["clusterIP"], pods["items"][0]["status"]["podIP"]):
        health = answer_of(f"http://{address}:{agent_workload.PORT}/api/v1/health/detailed")
        assert health["status"] == "healthy"


def test_api_server_passes_requests_on_to_a_pod(own_cluster, namespace, agent):
    path = f"/api/v1/namespaces/{namespace}/services/{agent}:http/proxy/api/v1/health"

    assert json.loads(own_cluster.kubectl("get", "--raw", path).stdout)["status"] == "healthy"


def test_log_and_program_of_a_pod_are_within_reach(own_cluster, namespace, agent):
    of_agent = (f"deployment/{agent}", f"--namespace={namespace}")

    assert "1.4.1" in own_cluster.kubectl("logs", *of_agent).stdout
    assert own_cluster.kubectl("exec", *of_agent, "--", "id", "-u").stdout.strip() == "10001"


def test_metrics_are_measured(measured_cluster, namespace, agent):
    path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods"

    def memory() -> list[str]:
        found = json.loads(measured_cluster.kubectl("get", "--raw", path).stdout)
        return [each["usage"]["memory"] for pod in found["items"] for each in pod["containers"]]

    eventually(memory, limit_s=60.0, every_s=0.5)
    assert all(int(each.removesuffix("Ki")) > 10_000 for each in memory())


def test_service_account_may_do_only_what_its_role_allows(cluster, namespace, tmp_path):
    here = f"--namespace={namespace}"
    cluster.kubectl("create", "serviceaccount", "reader", here)
    cluster.kubectl("create", "role", "reader", "--verb=get,list", "--resource=pods", here)
    account = f"--serviceaccount={namespace}:reader"
    cluster.kubectl("create", "rolebinding", "reader", "--role=reader", account, here)

    reader = cluster.acting_as(namespace, "reader", tmp_path / "kubeconfig")

    assert reader.kubectl("get", "pods", here, check=False).returncode == 0
    for refused in (("get", "secrets", here), ("get", "pods", "--namespace=kube-system")):
        assert "Forbidden" in reader.kubectl(*refused, check=False).stderr

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes that come and go: a second real one, and fake ones for many pods."""

from __future__ import annotations

import pytest

from tests.cluster import agent_workload
from tests.cluster.home import kwok

pytestmark = pytest.mark.alone


def test_agent_on_a_second_node_is_ready_and_moves_when_that_node_is_drained(
    own_cluster, second_node, namespace, pod_stack
):
    here = f"--namespace={namespace}"
    own_cluster.kubectl("cordon", "node1")
    try:
        documents = (agent_workload.secret(pod_stack), agent_workload.deployment())
        own_cluster.apply_in(namespace, *documents)
        own_cluster.kubectl("rollout", "status", "deployment/cost-agent", here, "--timeout=300s")
        (pod,) = own_cluster.get("pods", here)["items"]
        assert pod["spec"]["nodeName"] == second_node
    finally:
        own_cluster.kubectl("uncordon", "node1")

    own_cluster.kubectl("drain", second_node, "--timeout=300s")
    own_cluster.kubectl("rollout", "status", "deployment/cost-agent", here, "--timeout=300s")

    (pod,) = own_cluster.get("pods", here)["items"]
    assert pod["spec"]["nodeName"] == "node1"


def test_hundreds_of_pods_are_ready_on_fake_nodes(own_cluster, fake_nodes, namespace):
    workload = agent_workload.deployment(name="many", replicas=300)
    pod = workload["spec"]["template"]["spec"]
    pod["nodeSelector"] = kwok.LABELS
    pod["tolerations"] = [{"key": kwok.TAINT["key"], "operator": "Exists"}]

    own_cluster.apply_in(namespace, workload)
    here = f"--namespace={namespace}"
    own_cluster.kubectl("rollout", "status", "deployment/many", here, "--timeout=300s")

    pods = own_cluster.get("pods", here, "--selector=app=many")["items"]
    assert len(pods) == 300
    assert {pod["spec"]["nodeName"] for pod in pods} <= set(fake_nodes)

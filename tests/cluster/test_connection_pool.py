# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pool on Kubernetes: whose variables they are, and how many pods there may be."""

from __future__ import annotations

import json

import pytest

from tests.cluster.kubernetes_platform import KubernetesPlatform


@pytest.fixture
def started(cluster, tmp_path):
    platform = KubernetesPlatform(cluster, tmp_path)
    try:
        platform.deploy("1.4.1")
        outcome = platform.agent()
        assert not outcome.get("failed"), outcome["msg"]
        yield platform
    finally:
        platform.close()


def container_with(**fields) -> dict:
    """A strategic merge patch of the agent's container."""
    container = {"name": "cost-agent", **fields}
    return {"spec": {"template": {"spec": {"containers": [container]}}}}


def patch(platform: KubernetesPlatform, **fields) -> None:
    """What the user's manifest says of the container, and pods that run it."""
    body = json.dumps(container_with(**fields))
    platform.kubectl("patch", "deployment/cost-agent", "--type=strategic", f"--patch={body}")
    outcome = platform.agent()
    assert not outcome.get("failed"), outcome["msg"]


def refusal(platform: KubernetesPlatform) -> str:
    before = platform.workload()["spec"]["template"]
    outcome = platform.set_pool(8, 2)
    assert outcome["reason"] == "precondition"
    assert platform.workload()["spec"]["template"] == before
    return str(outcome["msg"])


def test_a_config_map_of_the_users_is_where_to_change_it(started):
    started.kubectl("create", "configmap", "settings", "--from-literal=DB_POOL_SIZE=5")
    patch(started, envFrom=[{"configMapRef": {"name": "settings"}}])
    words = refusal(started)
    assert f"DB_POOL_SIZE is kept in ConfigMap {started.namespace}/settings" in words


def test_an_env_entry_of_the_users_is_where_to_change_it(started):
    patch(started, env=[{"name": "DB_MAX_OVERFLOW", "value": "3"}])
    words = refusal(started)
    assert "DB_MAX_OVERFLOW is kept in the template of Deployment" in words


def test_an_owner_of_the_workload_is_where_to_change_it(started):
    started.patch({"metadata": {"annotations": {"meta.helm.sh/release-name": "costs"}}})
    words = refusal(started)
    assert "Helm's release costs owns it" in words
    assert "the values of its chart" in words


def test_the_autoscalers_maximum_is_the_ceiling(started):
    autoscaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "cost-agent"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "cost-agent"},
            "minReplicas": 3,
            "maxReplicas": 10,
        },
    }
    started.kubectl("apply", "--filename=-", document=autoscaler)
    outcome = started.set_pool(20, 10)
    assert outcome["reason"] == "budget"
    assert "10 replicas x 1 worker x (20 + 10), 300 + 0 others > 97" in outcome["msg"]
    assert "set pool_size 9 with max_overflow 0" in outcome["msg"]

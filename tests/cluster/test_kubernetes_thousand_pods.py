# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A thousand pods on fake nodes: read in time, and in little memory."""

from __future__ import annotations

import json
import os

import pytest

from tests.cluster.home.kwok import LABELS, TAINT
from tests.cluster.kubernetes_platform import KubernetesPlatform, wait_until
from tests.component.operations import start_operation

pytestmark = pytest.mark.timeout(600)

PODS = 1000
MOST_SECONDS = 2.0
MOST_MEGABYTES = 250


@pytest.fixture
def thousand(own_cluster, tmp_path):
    nodes = own_cluster.home.fake_nodes()
    names = nodes.up(10, print)
    platform = KubernetesPlatform(own_cluster, tmp_path)
    spec = {"nodeSelector": LABELS, "tolerations": [TAINT], "volumes": None}
    container = {"name": "cost-agent", "image": "cost-agent:1.4.1", "ports": HTTP}
    spec["containers"] = [container]
    platform.patch({"spec": {"replicas": PODS, "template": {"spec": spec}}})
    try:
        wait_until(lambda: platform.workload()["status"].get("readyReplicas") == PODS, 300)
        yield platform
    finally:
        platform.end_pods()
        platform.close()
        nodes.down(names)


HTTP = [{"name": "http", "containerPort": 8001}]


def test_a_thousand_pods_are_read_in_time_and_in_little_memory(thousand):
    connection = {"namespace": thousand.namespace, **thousand.connection}
    seconds, megabytes = [], []
    for _run in range(3):
        running = start_operation(
            "platforms", "agent_info", platform="kubernetes", kubernetes=connection
        )
        with running.process.stdout, running.process.stderr:
            outcome = json.load(running.process.stdout)
            _pid, _status, usage = os.wait4(running.pid, 0)
        running.process.returncode = 0
        assert outcome["summary"] == f"{PODS} of {PODS} ready, release cost-agent:1.4.1"
        assert len(outcome["state"]["targets"]) == PODS
        seconds.append(outcome["duration"])
        megabytes.append(usage.ru_maxrss / 1024)
    print(f"agent_info of {PODS} pods: {min(seconds):.2f} s, {max(megabytes):.0f} MB")
    assert min(seconds) <= MOST_SECONDS
    assert max(megabytes) <= MOST_MEGABYTES

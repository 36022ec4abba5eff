# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An agent of very many pods, none of which has a container: on fake nodes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cluster.home.kwok import LABELS, TAINT
from tests.cluster.kubernetes_platform import KubernetesPlatform
from tests.cluster.reached import Cluster
from tests.component.operations import start_operation
from tests.waiting import eventually

PODS = 1000
_HTTP = [{"name": "http", "containerPort": 8001}]


@contextmanager
def thousand_pods(cluster: Cluster, folder: Path) -> Iterator[KubernetesPlatform]:
    """An agent of `PODS` ready replicas, on a cluster that is ours."""
    assert cluster.home
    nodes = cluster.home.fake_nodes()
    names = nodes.up(10)
    platform = KubernetesPlatform(cluster, folder)
    container = {"name": "cost-agent", "image": "cost-agent:1.4.1", "ports": _HTTP}
    spec: dict[str, Any] = {"nodeSelector": LABELS, "tolerations": [TAINT], "volumes": None}
    spec["containers"] = [container]
    platform.patch({"spec": {"replicas": PODS, "template": {"spec": spec}}})
    try:
        eventually(lambda: platform.workload()["status"].get("readyReplicas") == PODS, 900)
        yield platform
    finally:
        platform.end_pods()
        platform.close()
        nodes.down(names)


def measured_agent_info(platform: KubernetesPlatform) -> tuple[dict[str, Any], float]:
    """The result of `agent_info` in a process of its own, and that one's peak memory in MB."""
    connection = {"namespace": platform.namespace, **platform.connection}
    running = start_operation(
        "platforms", "agent_info", platform="kubernetes", kubernetes=connection
    )
    pipes = running.process.stdout, running.process.stderr
    assert pipes[0]
    assert pipes[1]
    with pipes[0], pipes[1]:
        outcome = json.load(pipes[0])
        _pid, _status, usage = os.wait4(running.pid, 0)
    running.process.returncode = 0
    return outcome, usage.ru_maxrss * 1024 / 1e6

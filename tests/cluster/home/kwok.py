# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fake nodes by kwok: pods that become ready without a container, a thousand at a time."""

from __future__ import annotations

import time

from tests.cluster.home.api import Api, Document
from tests.cluster.home.build import KWOK
from tests.cluster.home.certificates import Certificates
from tests.cluster.home.daemon import Daemon
from tests.cluster.home.errors import ClusterError
from tests.cluster.home.layout import API_ADDRESS, FAKE_PODS, Layout

# A pod that is to run on a fake node selects LABELS and tolerates TAINT.
LABELS = {"type": "kwok"}
TAINT = {"key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule"}
_ANNOTATION = ("kwok.x-k8s.io/node", "fake")
_NODES = "/api/v1/nodes"
_PODS_PER_NODE = 110
_HEALTH_PORT = 10247
_READY_TIMEOUT_S = 600.0


class FakeNodes:
    def __init__(self, layout: Layout, certificates: Certificates) -> None:
        self._layout = layout
        self._certificates = certificates
        self._api = Api(certificates)

    def up(self, count: int) -> list[str]:
        """Start kwok, which `Home.build` has built, and return the names of `count` Ready nodes.

        Each has room for 110 pods. Raises StackError.
        """
        self.daemon().up()
        names = [f"fake-{number}" for number in range(count)]
        for name in names:
            self._api.apply(_NODES, _node(name))
            # Status is a resource of its own, which the first request does not touch.
            self._api.apply(_NODES, _node(name), "/status")
        deadline = time.monotonic() + _READY_TIMEOUT_S
        while not all(self._api.has_condition(f"{_NODES}/{name}", "Ready") for name in names):
            if time.monotonic() > deadline:
                raise ClusterError(f"kwok: nodes are not Ready after {_READY_TIMEOUT_S:.0f} s")
            time.sleep(0.1)
        return names

    def down(self, names: list[str]) -> None:
        """Forget the nodes and stop kwok. Raises StackError.

        Their pods have to be gone before: nobody would confirm their end afterwards.
        """
        for name in names:
            self._api.delete(f"{_NODES}/{name}")
        self.daemon().down()

    def daemon(self) -> Daemon:
        health = f"http://127.0.0.1:{_HEALTH_PORT}/healthz"
        return Daemon(
            self._layout.run,
            KWOK.path,
            self._arguments,
            lambda: self._api.answers(health),
            namespace=self._layout.name,
        )

    def _arguments(self) -> dict[str, object]:
        kubeconfig = self._certificates.kubeconfig("kwok", "kwok", organization="system:masters")
        return {
            "kubeconfig": kubeconfig,
            "manage-all-nodes": False,
            "manage-nodes-with-annotation-selector": "=".join(_ANNOTATION),
            "node-ip": API_ADDRESS,
            "node-lease-duration-seconds": 40,
            "cidr": FAKE_PODS,
            "server-address": f"127.0.0.1:{_HEALTH_PORT}",
        }


def _node(name: str) -> Document:
    room = {"cpu": "32", "memory": "256Gi", "pods": str(_PODS_PER_NODE)}
    labels = {**LABELS, "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "annotations": dict([_ANNOTATION]), "labels": labels},
        "spec": {"taints": [TAINT]},
        "status": {"allocatable": room, "capacity": room},
    }

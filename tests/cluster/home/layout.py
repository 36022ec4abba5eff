# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a cluster lives: names, folders and addresses."""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from tests.images.cache import BUILDS, CHECKOUT

# What is built once, and what a cluster writes while it runs.
CACHE = BUILDS / "cluster"
RUNNING = CHECKOUT / ".cache" / "cluster"

# Private addresses inside a network namespace without a way out: they meet nobody else's.
SERVICES = ipaddress.ip_network("10.96.0.0/16")
PODS = ipaddress.ip_network("10.244.0.0/16")
FAKE_PODS = ipaddress.ip_network("10.245.0.0/16")
API_ADDRESS = "10.200.0.1"
API_PORT = 6443
API_SERVER = f"https://{API_ADDRESS}:{API_PORT}"
DNS_SERVICE = str(SERVICES[10])


@dataclass(frozen=True)
class Layout:
    """One cluster per folder `run`, which holds all that it writes; clusters do not meet."""

    run: Path = RUNNING / "run"

    @property
    def name(self) -> str:
        """Names what the kernel keeps for all: network namespaces and cgroups."""
        digest = hashlib.sha256(str(self.run).encode()).hexdigest()
        return f"agent-cluster-{digest[:6]}"

    @property
    def short_folder(self) -> Path:
        return Path("/var/lib") / self.name

    @property
    def certificates(self) -> Path:
        return self.run / "certificates"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's; valid inside the cluster's network namespace."""
        return self.run / "admin.kubeconfig"

    def node(self, number: int) -> NodePlace:
        """The first node has the API server's address; the others hang on it."""
        pods = list(PODS.subnets(new_prefix=24))[number]
        if number == 1:
            return NodePlace(f"node{number}", API_ADDRESS, str(pods), self.name, self)
        return NodePlace(
            f"node{number}", f"10.201.{number}.2", str(pods), f"{self.name}-{number}", self
        )


@dataclass(frozen=True)
class NodePlace:
    """What tells one node from another on the same machine."""

    name: str
    address: str
    pods: str
    namespace: str
    layout: Layout

    @property
    def folder(self) -> Path:
        return self.layout.run / self.name

    @property
    def gateway(self) -> str:
        """The first node's end of the cable to this one."""
        return str(ipaddress.ip_address(self.address) - 1)

    @property
    def cgroup(self) -> str:
        """The cgroup that holds all pods of this node and nothing else."""
        return f"{self.layout.name}-{self.name}"

    @property
    def short_folder(self) -> Path:
        """For sockets, whose paths have to fit into 107 bytes, and for the kubelet that makes some.

        Outside the checkout, as its own path may be long; gone when the node is down.
        """
        return self.layout.short_folder / self.name

    @property
    def kubelet_root(self) -> Path:
        return self.short_folder / "kubelet"

    @property
    def containerd_socket(self) -> Path:
        return self.short_folder / "containerd.sock"

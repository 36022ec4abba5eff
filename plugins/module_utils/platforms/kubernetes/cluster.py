# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What everything on this platform works with: one client, and the agent's place in the cluster."""

from __future__ import annotations

from ...core.clock import Clock
from .client import KubernetesClient
from .environment import EnvironmentObjects
from .evidence import Evidence
from .options import ClusterOptions
from .workload import WorkloadApi


class Cluster:
    """The client with the parts that each know one kind of object."""

    def __init__(self, options: ClusterOptions, agent: str, client: KubernetesClient) -> None:
        self.options = options
        self.client = client
        self.workloads = WorkloadApi(client, options)
        self.environments = EnvironmentObjects(client, options.namespace, agent)
        self.evidence = Evidence(client, options.namespace)


def connect(options: ClusterOptions, agent: str, clock: Clock) -> Cluster:
    """A cluster by a client of its own; nothing is asked yet."""
    return Cluster(options, agent, KubernetesClient(options.access, clock))

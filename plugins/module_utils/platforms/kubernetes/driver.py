# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The platform kubernetes: replicas are the pods of a Deployment or StatefulSet.

The cluster brings them about. This driver says in one patch what shall be, waits until it is, and
reads what there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from ...core.clock import Clock, SystemClock
from ...core.errors import OperationError, Reason
from ..agent_options import Agent, Serving
from ..arguments import DEFAULT_APP
from ..environment import Environment
from ..migration import Migrator
from ..protocol import Check, Goal, LogQuery, Plan, Replica, Specification
from ..releases import ReleaseStore
from .cluster import Cluster, connect
from .migration import KubernetesMigrator
from .options import ClusterOptions
from .pods import Way, list_all_pods, list_pods, replica_of, serving_port, template_hash, way_to
from .preflight import Preflight
from .releases import KubernetesReleaseStore
from .revisions import current_revision, list_revisions
from .rollout import RolloutPlan, template_to_bring_back
from .state_store import ConfigMapStateStore
from .template import agent_container
from .usage import read_metrics, usage_of
from .workload import Workload


def cluster_of(agent: Agent, clock: Clock) -> Cluster:
    """The agent's cluster, by the client of its state store where that is there too."""
    options = ClusterOptions.of(agent.kubernetes, agent.name)
    if isinstance(agent.store, ConfigMapStateStore):
        return Cluster(options, agent.name, agent.store.client)
    return connect(options, agent.name, clock)


def open_kubernetes_releases(agent: Agent) -> ReleaseStore:
    """The releases alone."""
    clock = SystemClock()
    return KubernetesReleaseStore(agent, cluster_of(agent, clock), clock)


def open_kubernetes_migrator(agent: Agent) -> Migrator:
    """What runs a command of a release."""
    clock = SystemClock()
    return KubernetesMigrator(agent.name, cluster_of(agent, clock), clock)


class KubernetesDriver:
    """One agent in one namespace."""

    def __init__(self, agent: Agent, serving: Serving | None, clock: Clock) -> None:
        self._agent = agent
        self._serving = serving
        self._clock = clock
        self._cluster = cluster_of(agent, clock)
        self._releases = KubernetesReleaseStore(agent, self._cluster, clock)
        self._way: Way | None = None
        self._gone: list[str] = []

    @property
    def release_store(self) -> ReleaseStore:
        return self._releases

    def reading_once(self) -> AbstractContextManager[None]:
        return self._cluster.client.remembering()

    # --- environment --------------------------------------------------------------------------

    def environment(self) -> Environment:
        workload = self._cluster.workloads.find()
        if workload is None:
            return Environment()
        brought_back = template_to_bring_back(self._cluster, self._releases, workload)
        template = brought_back or workload.template
        environment, self._gone = self._cluster.environments.read(template)
        return environment

    def set_environment(self, environment: Environment) -> None:
        self._cluster.environments.write(environment)

    # --- replicas -----------------------------------------------------------------------------

    def names(self, count: int) -> list[str]:
        return []  # the cluster names them

    def observe(
        self, wanted: Sequence[str], specification: Specification | None, usage: bool = False
    ) -> list[Replica]:
        workload = self._cluster.workloads.find()
        if workload is None:
            return []
        client = self._cluster.client
        pods = list_pods(client, workload)
        container = self._container(workload)
        current = current_revision(workload, list_revisions(client, workload))
        is_wanted = specification is None or container["image"] == specification.release
        metrics = read_metrics(client, workload) if usage and pods else {}
        port, now = self._port(workload), self._clock.now()
        way, name = self._way_to(pods, workload), container["name"]
        return [
            replica_of(
                pod,
                name,
                is_wanted and current is not None and template_hash(pod) == current.hash,
                way,
                port,
                usage_of(pod, name, metrics.get(pod["metadata"]["name"]), now),
            )
            for pod in pods
        ]

    def plan(self, goal: Goal) -> Plan:
        if self._serving is not None and goal.specification is not None:
            _require_manifests_own(self._serving)
        if self._gone and not goal.environment.variables() and goal.specification is not None:
            raise OperationError(
                Reason.PRECONDITION,
                f"start {self._agent.name}",
                f"its template references {', '.join(self._gone)}, which is gone",
                "Give environment and environment_secrets again",
            )
        return RolloutPlan(
            self._cluster,
            self._releases,
            self._serving,
            goal,
            self._agent.name,
            self.observe(goal.intent.names, goal.specification),
            self._clock.now(),
        )

    # --- logs ---------------------------------------------------------------------------------

    def log(self, replica: str, query: LogQuery) -> list[str]:
        workload = self._cluster.workloads.read(f"read the log of {replica}")
        pods = list_all_pods(self._cluster.client, workload)
        pod = next((each for each in pods if each["metadata"]["name"] == replica), None)
        if pod is None:
            return []
        secrets = self._secrets(workload)
        name = self._container(workload)["name"]
        return self._cluster.evidence.log(pod, name, query, self._clock.now(), secrets)

    def logged(self) -> list[str]:
        workload = self._cluster.workloads.find()
        if workload is None:
            return []
        return [pod["metadata"]["name"] for pod in list_pods(self._cluster.client, workload)]

    def _secrets(self, workload: Workload) -> set[str]:
        """Those of the present template and of the ones whose pods may still be there."""
        found = self._cluster.environments.secrets_of(workload.template)
        for revision in list_revisions(self._cluster.client, workload)[:2]:
            found |= self._cluster.environments.secrets_of(revision.template)
        return found

    # --- preflight ----------------------------------------------------------------------------

    def preflight(self, count: int, disk_mb: int, source: Path | None) -> list[Check]:
        uses_config_maps = isinstance(self._agent.store, ConfigMapStateStore)
        return Preflight(self._cluster, uses_config_maps).checks(count)

    # --- parts --------------------------------------------------------------------------------

    def _container(self, workload: Workload) -> dict[str, Any]:
        named = self._cluster.options.container
        return agent_container(workload.template, self._agent.name, named)

    def _port(self, workload: Workload) -> int:
        asked = self._serving.port if self._serving else None
        return serving_port(self._container(workload), asked)

    def _way_to(self, pods: Sequence[dict[str, Any]], workload: Workload) -> Way:
        """How pods are reached from here, found out once."""
        if self._way is None or not pods:
            server = self._cluster.client.credentials().server
            proxied = Way(server, self._cluster.options.namespace)
            if not pods:
                return proxied
            name = self._container(workload)["name"]
            self._way = way_to(pods, name, self._port(workload), proxied)
        return self._way


def _require_manifests_own(serving: Serving) -> None:
    """Raise `precondition` for what the image and the workload's own definition say."""
    for option, value, default in (
        ("app", serving.app, DEFAULT_APP),
        ("workers", serving.workers, 1),
    ):
        if value != default:
            raise OperationError(
                Reason.PRECONDITION,
                f"start each replica with {option} {value}",
                "on Kubernetes the image and the manifest say how it is started",
                f"Leave {option} out, and set command and args in the manifest",
            )

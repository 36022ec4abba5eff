# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent on each platform as the benchmark operates it: by the playbooks, with a way in for load.

Each is deployed on entering and gone on leaving, its servers with it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.stack import Addresses, Stack
from demo.stack.ports import LOOPBACK
from tests.bench import guides_pool
from tests.bench.figures import Figure
from tests.cluster.home.layout import API_ADDRESS
from tests.cluster.kubernetes_site import KubernetesSite
from tests.cluster.reached import Cluster, NoCluster, reached_cluster
from tests.component.agent_site import AGENT_SOURCE, Site, environment, variables
from tests.component.backup_place import database_variables
from tests.component.playbook_run import Run
from tests.component.raised_server import SERVERS, allow_connections
from tests.images import archives, systemd_archive
from tests.load.haproxy import Haproxy
from tests.platforms.docker_site import DockerSite
from tests.platforms.home import Engine, OwnEngine, running_engine
from tests.platforms.systemd_platform import agent_machine
from tests.platforms.systemd_site import SystemdSite

FIRST, SECOND = "1.4.1", "1.4.2"
POOL_STEP = "pool 4 + 2 -> 20 + 10"
# Longer than haproxy takes to see that a replica is going: three checks, 200 ms apart.
_DRAIN_S = 2
# Health has to hold for a moment, so that the playbooks do all that they do; not for half a minute.
_SOAK = {"cost_agent_deploy_canary_s": 2, "cost_agent_deploy_soak_s": 2}
# What is slow while a load takes a share of two cores is no illness of the agent.
_THRESHOLDS = {
    "api_ms": 2000,
    "database_ms": 2000,
    "cache_ms": 2000,
    "memory_percent": 80,
    "cpu_percent": 100,
}
_SETTINGS = {**_SOAK, "cost_agent_health_thresholds": _THRESHOLDS}


@dataclass(frozen=True)
class Operated:
    """Where clients send their requests, and what an operator does meanwhile, in order.

    `before` is what was measured without a load.
    """

    url: str
    steps: Mapping[str, Callable[[], Run]]
    before: Sequence[Figure] = ()


def succeeded(run: Run) -> Run:
    """The run, unless it failed: then the benchmark ends with what it said."""
    if run.code:
        raise SystemExit(run.output)
    return run


@contextmanager
def servers(folder: Path, host: str = LOOPBACK) -> Iterator[Stack]:
    """PostgreSQL with its defaults and Redis, at an address that replicas reach as well."""
    stack = Stack(folder / "stack", host=host)
    try:
        stack.up(only=SERVERS)
        yield stack
    finally:
        stack.down(purge=True)


@contextmanager
def roomy_servers(folder: Path, host: str) -> Iterator[Addresses]:
    """The same, with connections for the guide's pool."""
    with servers(folder, host) as stack:
        allow_connections(stack, guides_pool.ENOUGH_CONNECTIONS)
        yield stack.up(only=SERVERS)


@contextmanager
def docker_engine() -> Iterator[Engine]:
    """The engine that DOCKER_HOST names, one that runs here, or an own one."""
    own = None
    engine = running_engine()
    if engine is None:
        engine = own = OwnEngine()
        own.start()
    try:
        yield engine
    finally:
        if own is not None:
            own.stop()
        else:
            engine.remove_containers()
            engine.close()


@contextmanager
def process_agent(folder: Path) -> Iterator[Operated]:
    """Two replicas behind haproxy, which knows a third; first on a server with its defaults."""
    with servers(folder) as stack:
        addresses = stack.up(only=SERVERS)
        drain = {**environment(addresses), "DRAIN_SECONDS": str(_DRAIN_S)}
        site = Site(folder, addresses, {**_SETTINGS, "cost_agent_environment": drain})
        try:
            succeeded(site.deploy(FIRST))
            before = list(guides_pool.refused(site.play))
            allow_connections(stack, guides_pool.ENOUGH_CONNECTIONS)
            with proxy(folder, site.port, 3, up=2) as url:
                yield Operated(
                    url,
                    {
                        "restart": lambda: site.play("restart"),
                        "deploy": lambda: site.play("deploy", *variables(SECOND, AGENT_SOURCE)),
                        "rollback": lambda: site.play("rollback", *roll_back_to(FIRST)),
                        "scale 2 -> 3": lambda: site.play("scale", *count(3)),
                        POOL_STEP: lambda: guides_pool.applied(site.play("tune_pool")),
                        "scale 3 -> 2": lambda: site.play("scale", *count(2)),
                    },
                    before,
                )
        finally:
            site.play("stop")
            site.close()


@contextmanager
def systemd_agent(folder: Path) -> Iterator[Operated]:
    """One replica, asked directly; its socket outlives it."""
    with docker_engine() as engine, roomy_servers(folder, engine.gateway()) as stack:
        engine.load(systemd_archive())
        with agent_machine(engine, f"cost-agent-bench-{secrets.token_hex(3)}") as machine:
            # The machine has no psycopg2: the controller asks the database.
            variables_ = {**_SETTINGS, **database_variables(stack), "cost_agent_replicas": 1}
            site = SystemdSite(machine, stack, folder, variables_)
            succeeded(site.deploy(FIRST))
            yield Operated(
                f"http://{machine.address}:8001",
                {
                    "restart": lambda: site.play("restart"),
                    "deploy": lambda: site.deploy(SECOND),
                    "rollback": lambda: site.play("rollback", *roll_back_to(FIRST)),
                    "scale 1 -> 3": lambda: site.play("scale", *count(3)),
                    POOL_STEP: lambda: guides_pool.applied(site.play("tune_pool")),
                    "scale 3 -> 1": lambda: site.play("scale", *count(1)),
                },
            )


@contextmanager
def docker_agent(folder: Path) -> Iterator[Operated]:
    """Three containers behind haproxy, which knows two more."""
    with docker_engine() as engine, roomy_servers(folder, engine.gateway()) as stack:
        engine.load(archives()["releases"])
        site = DockerSite(folder, engine, stack, _SETTINGS)
        try:
            succeeded(site.play("deploy", release=image(FIRST)))
            with proxy(folder, site.port, 5, up=3) as url:
                yield Operated(url, _image_steps(site.play))
        finally:
            site.close()


@contextmanager
def kubernetes_agent(folder: Path) -> Iterator[Operated]:
    """Three pods behind their Service."""
    with kubernetes_site(folder) as site:
        succeeded(site.play("deploy", release=image(FIRST)))
        service = site.cluster.get("service", "cost-agent", f"--namespace={site.namespace}")
        yield Operated(f"http://{service['spec']['clusterIP']}:8001", _image_steps(site.play))


def own_cluster() -> Cluster:
    """The cluster around this process, which has to be ours: its nodes and addresses are known."""
    try:
        cluster = reached_cluster()
    except NoCluster as missing:
        raise SystemExit(f"kubernetes: {missing}") from missing
    if not cluster.home:
        raise SystemExit("kubernetes: wanted a cluster of our own; unset KUBECONFIG")
    return cluster


@contextmanager
def kubernetes_site(folder: Path) -> Iterator[KubernetesSite]:
    """An agent's namespace, with nothing deployed yet, on a cluster of our own."""
    cluster = own_cluster()
    with roomy_servers(folder, API_ADDRESS) as stack:
        site = KubernetesSite(cluster, stack, folder)
        site.variables.update(_SETTINGS)
        try:
            yield site
        finally:
            site.close()


@contextmanager
def proxy(folder: Path, port: int, backends: int, up: int) -> Iterator[str]:
    """The address of haproxy before replicas at ports from `port`; `up` of them answer already."""
    places = [("127.0.0.1", port + number) for number in range(backends)]
    with Haproxy(folder / "proxy", places) as haproxy:
        haproxy.wait_for_up(up)
        yield haproxy.url


def image(version: str) -> str:
    return f"cost-agent:{version}"


def count(replicas: int) -> Sequence[str]:
    return "-e", json.dumps({"cost_agent_replicas": replicas})


def roll_back_to(release: str) -> Sequence[str]:
    return "-e", json.dumps({"cost_agent_rollback_to": release})


def _image_steps(play: Callable[..., Run]) -> dict[str, Callable[[], Run]]:
    def step(playbook: str, **given: Any) -> Callable[[], Run]:
        return lambda: play(playbook, **given)

    return {
        "restart": step("restart"),
        "deploy": step("deploy", release=image(SECOND)),
        "rollback": step("rollback", rollback_to=image(FIRST)),
        "scale 3 -> 5": step("scale", replicas=5),
        POOL_STEP: lambda: guides_pool.applied(play("tune_pool")),
        "scale 5 -> 3": step("scale", replicas=3),
    }

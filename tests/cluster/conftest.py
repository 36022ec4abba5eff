# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster, once per run; a namespace per test module; servers that pods can reach."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from demo.stack import Addresses, Stack
from tests.cluster.home.layout import API_ADDRESS
from tests.cluster.reached import Cluster, NoCluster, reached_cluster
from tests.component import needs


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    try:
        return reached_cluster()
    except NoCluster as missing:
        needs.missing(str(missing))


@pytest.fixture(scope="session")
def own_cluster(cluster: Cluster) -> Cluster:
    """The cluster, for tests that break it or that change its nodes."""
    if not cluster.may_be_broken:
        needs.missing("this cluster is not ours to break")
    return cluster


@pytest.fixture(scope="session")
def measured_cluster(cluster: Cluster) -> Cluster:
    """The cluster, for tests that need what its pods use."""
    path = "/apis/metrics.k8s.io/v1beta1/nodes"
    if cluster.kubectl("get", "--raw", path, check=False).returncode != 0:
        needs.missing("this cluster serves no metrics")
    return cluster


@pytest.fixture(scope="module")
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test module's own, given up with everything in it afterwards."""
    words = request.module.__name__.rpartition(".")[2].replace("_", "-")
    name = f"{words}-{secrets.token_hex(3)}"
    cluster.kubectl("create", "namespace", name)
    try:
        yield name
    finally:
        _end_pods(cluster, name)
        # Kubernetes takes 5 s for a namespace, even an empty one.
        cluster.kubectl("delete", "namespace", name, "--wait=false")


def _end_pods(cluster: Cluster, namespace: str) -> None:
    """End what runs in a namespace in a second, without replacements on the way."""
    everything = ("--all", f"--namespace={namespace}")
    workloads = ("delete", "deployment,statefulset", *everything, "--cascade=foreground")
    cluster.kubectl(*workloads, "--wait=false")
    cluster.kubectl("delete", "pod", *everything, "--grace-period=1", "--wait=false")
    cluster.kubectl(*workloads, "--timeout=300s")


@pytest.fixture
def second_node(own_cluster: Cluster) -> Iterator[str]:
    """The name of another real node, Ready, and gone after the test."""
    assert own_cluster.home
    node = own_cluster.home.add_node(2)
    try:
        yield node.name
    finally:
        own_cluster.home.remove_node(node)


@pytest.fixture(scope="module")
def fake_nodes(own_cluster: Cluster, namespace: str) -> Iterator[list[str]]:
    """The names of ten nodes on which 1,100 pods of the namespace become ready without a container.

    A pod goes there that selects `kwok.LABELS` and tolerates `kwok.TAINT`.
    """
    assert own_cluster.home
    fakes = own_cluster.home.fake_nodes()
    names = fakes.up(10)
    try:
        yield names
    finally:
        _end_pods(own_cluster, namespace)
        fakes.down(names)


@pytest.fixture(scope="session")
def pod_stack(own_cluster: Cluster, tmp_path_factory) -> Iterator[Addresses]:
    """The addresses of real PostgreSQL and Redis servers, under which pods reach them as well."""
    stack = Stack(tmp_path_factory.mktemp("stack"), host=API_ADDRESS)
    try:
        yield stack.up(only=["postgres", "redis"])
    finally:
        stack.down(purge=True)

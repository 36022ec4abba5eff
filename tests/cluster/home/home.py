# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Kubernetes cluster on this machine: up, down, status."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from demo.stack.file_lock import exclusive
from tests.cluster.home import addons, network, sysctls
from tests.cluster.home.api import Api
from tests.cluster.home.build import KWOK, PROGRAMS, build
from tests.cluster.home.certificates import Certificates
from tests.cluster.home.control_plane import ControlPlane
from tests.cluster.home.daemon import Daemon
from tests.cluster.home.errors import ClusterError
from tests.cluster.home.images import node_archives
from tests.cluster.home.kwok import FakeNodes
from tests.cluster.home.layout import CACHE, Layout
from tests.cluster.home.node import Node

Report = Callable[[str], None]

# Everything that `up` runs from Debian, and the package that has it.
_NEEDED = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
}
# A first `up` builds Kubernetes, and whoever comes second waits for it.
_BUILD_TIMEOUT_S = 12 * 3600.0  # all programs, by another process
_START_TIMEOUT_S = 1800.0
_READY_TIMEOUT_S = 600.0
_POLL_S = 0.1


@dataclass(frozen=True)
class Status:
    """What one program does now: `up`, `down`, or `silent` (runs, does not answer)."""

    name: str
    pid: int | None
    state: str


def _ignore(_line: str) -> None:
    """The report of a caller that wants none."""


class Home:
    """One cluster of one node; its processes run in the network namespace `layout.name`."""

    def __init__(self, layout: Layout | None = None, report: Report = _ignore) -> None:
        """`report` receives one line of progress at a time."""
        self.layout = layout or Layout()
        self.binaries = PROGRAMS[0].folder
        self.certificates = Certificates(self.layout)
        self.api = Api(self.certificates)
        self.control_plane = ControlPlane(self.layout, self.binaries, self.certificates)
        self._report = report
        self._sysctls = self.layout.run / "sysctls.json"
        # There while a `down` has begun and has not ended.
        self._ending = self.layout.run / "ending"

    def build(self) -> None:
        """Make the programs and images that are not there yet. Raises StackError, ImageError."""
        CACHE.mkdir(parents=True, exist_ok=True)
        with exclusive(CACHE / "build.lock", _BUILD_TIMEOUT_S):
            # With kwok, which only some tests start: inside the namespace nothing can be fetched.
            build((*PROGRAMS, KWOK), self._report)
            node_archives(self.binaries)

    def is_up(self) -> bool:
        """Whether every program runs; what they answer can only be asked inside the namespace."""
        return network.exists(self.layout.name) and all(
            daemon.process() is not None for daemon in self.daemons()
        )

    def prepare(self) -> None:
        """All of `up` that has to be done outside the namespace; build, clean up, make it.

        Raises ClusterError.
        """
        self.build()
        with self._lock():
            # After a reboot its files are there without its namespace.
            remains = self.layout.short_folder.exists() and not network.exists(self.layout.name)
            if remains or self._ending.exists():
                self._stop(keep_images=True)
            network.create(self.layout)

    def up(self) -> None:
        """Start what does not run; returns when metrics are served. Raises StackError.

        Has to run inside the namespace that `prepare` made.
        """
        with self._lock():
            self.certificates.create()
            self.certificates.admin_kubeconfig()
            sysctls.save(self._sysctls)
            node = self.node(1)
            archives = node_archives(self.binaries)
            with ThreadPoolExecutor(1) as pool:
                containers = pool.submit(node.start_containers, archives)
                self._start(*self.control_plane.in_order())
                containers.result()
            self._step(f"{node.name} joined", node.join)
            account = "/api/v1/namespaces/default/serviceaccounts/default"
            self._wait_for("default service account", account)
            addons.apply_name_service(self.api)
            addons.apply_metrics(self.api, self.certificates)
            self._start(self.metrics_server())
            metrics = f"/apis/metrics.k8s.io/v1beta1/nodes/{node.name}"
            self._wait_for(f"metrics of {node.name}", metrics)

    def down(self, *, purge: bool = False) -> None:
        """Stop everything that was started here; with `purge` remove what it wrote.

        Raises StackError when a process, a mount or a cgroup cannot be removed.
        """
        if not self.layout.run.is_dir():
            return
        with self._lock():
            self._stop(keep_images=not purge)
        if purge:
            shutil.rmtree(self.layout.run)

    def status(self) -> list[Status]:
        """Ask every program now; changes nothing. Has to run inside the namespace."""
        return [_status(daemon) for daemon in self.daemons()]

    def add_node(self, number: int) -> Node:
        """Start another real node, 2 or more, and return it when it is Ready. Raises StackError."""
        node = self.node(number)
        with self._lock():
            network.attach(node.place)
            node.start_containers(node_archives(self.binaries))
            self._step(f"{node.name} joined", node.join)
        return node

    def remove_node(self, node: Node) -> None:
        """Stop an added node and forget it. Raises StackError."""
        with self._lock():
            self.api.delete(f"/api/v1/nodes/{node.name}")
            node.down(keep_images=False)

    def fake_nodes(self) -> FakeNodes:
        return FakeNodes(self.layout, self.certificates)

    def node(self, number: int) -> Node:
        return Node(self.layout.node(number), self.binaries, self.certificates)

    def nodes(self) -> list[Node]:
        """The nodes that there are, or were when an `up` was killed."""
        numbers = {1} | {
            int(path.name.removeprefix("node")) for path in self.layout.run.glob("node[0-9]*")
        }
        return [self.node(number) for number in sorted(numbers)]

    def metrics_server(self) -> Daemon:
        return addons.metrics_server(self.layout, self.binaries, self.certificates)

    def daemons(self) -> list[Daemon]:
        """Every program, in the order of starting."""
        of_nodes = [daemon for node in self.nodes() for daemon in node.daemons()]
        return [*self.control_plane.in_order(), *of_nodes, self.metrics_server()]

    def _start(self, *daemons: Daemon) -> None:
        for daemon in daemons:
            self._step(daemon.name, daemon.up)

    def _step(self, name: str, action: Callable[[], object]) -> None:
        start = time.monotonic()
        action()
        self._report(_line(name, start))

    def _wait_for(self, name: str, path: str) -> None:
        deadline = time.monotonic() + _READY_TIMEOUT_S
        start = time.monotonic()
        while self.api.get(path) is None:
            if time.monotonic() > deadline:
                raise ClusterError(f"up: no {name} after {_READY_TIMEOUT_S:.0f} s ({path})")
            time.sleep(_POLL_S)
        self._report(_line(name, start))

    def _stop(self, *, keep_images: bool) -> None:
        if not self.layout.run.is_dir():
            return
        self._ending.touch()
        for daemon in (self.fake_nodes().daemon(), self.metrics_server()):
            daemon.down()
        for node in reversed(self.nodes()):
            self._step(f"{node.name} stopped", lambda node=node: node.down(keep_images=keep_images))
        for daemon in reversed(self.control_plane.in_order()):
            self._step(f"{daemon.name} stopped", daemon.down)
        shutil.rmtree(self.layout.run / "etcd", ignore_errors=True)
        with suppress(FileNotFoundError):
            self.layout.short_folder.rmdir()
        network.delete(self.layout.name)
        sysctls.restore(self._sysctls)
        self._ending.unlink()

    @contextmanager
    def _lock(self) -> Iterator[None]:
        self.layout.run.mkdir(mode=0o700, parents=True, exist_ok=True)
        with exclusive(self.layout.run / "lock", _START_TIMEOUT_S):
            yield


def missing_need() -> str | None:
    """Why no cluster can be started on this machine; None when one can."""
    if os.geteuid() != 0:
        return "a cluster of our own needs root (network namespaces, mounts, cgroups)"
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    packages = sorted({_NEEDED[name] for name in _NEEDED if not shutil.which(name, path=path)})
    if packages:
        return (
            f"a cluster of our own needs the Debian packages {', '.join(packages)}; "
            "scripts/install-cluster.sh installs them"
        )
    if shutil.which("go") is None and not all(
        program.path.exists() for program in (*PROGRAMS, KWOK)
    ):
        return "a cluster of our own needs Go 1.24.4 or later on PATH, which builds Kubernetes"
    return None


def _line(name: str, start: float) -> str:
    return f"{name:<28}{time.monotonic() - start:6.1f} s"


def _status(daemon: Daemon) -> Status:
    process = daemon.process()
    if process is None:
        return Status(daemon.name, None, "down")
    return Status(daemon.name, process.pid, "up" if daemon.answers() else "silent")

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster that the tests reach: the one of KUBECONFIG, of kind, or ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from demo.stack.private_files import write_private
from tests.cluster.home import network
from tests.cluster.home.home import Home, missing_need
from tests.cluster.home.layout import Layout

_KUBECTL_TIMEOUT_S = 120.0


class NoCluster(Exception):
    """There is none; the message says why and what to do."""


@dataclass(frozen=True)
class Cluster:
    """`home` is there when the cluster is ours: then it may be broken, and mended by `home.up()`.

    `prefix` are the words before a command that reach its pods and Services from anywhere on this
    machine; the tests themselves already run there. Empty where the cluster is not ours.
    """

    kubeconfig: Path
    prefix: tuple[str, ...]
    nodes: tuple[str, ...]
    home: Home | None

    @property
    def may_be_broken(self) -> bool:
        return self.home is not None

    def kubectl(
        self, *arguments: str, document: object = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl, with `document` as JSON on its standard input.

        A failure is an AssertionError with what it said, unless `check` is off.
        """
        result = subprocess.run(
            [_kubectl(), f"--kubeconfig={self.kubeconfig}", *arguments],
            input=None if document is None else json.dumps(document),
            capture_output=True,
            text=True,
            timeout=_KUBECTL_TIMEOUT_S,
            check=False,
        )
        assert not check or result.returncode == 0, f"kubectl {arguments}: {result.stderr}"
        return result

    def get(self, *arguments: str) -> dict[str, Any]:
        """`kubectl get`, as a document."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "--output=json").stdout)
        return found

    def apply_in(self, namespace: str, *documents: dict[str, Any]) -> None:
        """`kubectl apply` of documents that name no namespace."""
        items = {"apiVersion": "v1", "kind": "List", "items": documents}
        self.kubectl("apply", f"--namespace={namespace}", "--filename=-", document=items)

    def acting_as(self, namespace: str, account: str, kubeconfig: Path) -> Cluster:
        """The same cluster seen by a service account, whose token goes into a new kubeconfig."""
        words = ("config", "view", "--raw", "--flatten", "--minify", "--output=json")
        config = json.loads(self.kubectl(*words).stdout)
        token = self.kubectl("create", "token", account, f"--namespace={namespace}").stdout.strip()
        config["users"] = [
            {"name": each["name"], "user": {"token": token}} for each in config["users"]
        ]
        write_private(kubeconfig, json.dumps(config))
        return replace(self, kubeconfig=kubeconfig)


def reached_cluster() -> Cluster:
    """The cluster that this process reaches now. Raises NoCluster."""
    layout = Layout()
    if network.is_inside(layout.name):
        return _with_nodes(layout.kubeconfig, network.enter_prefix(layout.name), Home(layout))
    given = os.environ.get("KUBECONFIG")
    if given:
        return _with_nodes(Path(given), (), None)
    raise NoCluster(missing_need() or "start the tests with `make test-cluster`")


def _with_nodes(kubeconfig: Path, prefix: tuple[str, ...], home: Home | None) -> Cluster:
    cluster = Cluster(kubeconfig, prefix, (), home)
    nodes = cluster.kubectl("get", "nodes", "--output=name", check=False)
    if nodes.returncode != 0:
        raise NoCluster(f"{kubeconfig}: {nodes.stderr.strip()}")
    names = tuple(line.removeprefix("node/") for line in nodes.stdout.split())
    return Cluster(kubeconfig, prefix, names, home)


def _kubectl() -> str:
    # The locked one beside this interpreter, before any other.
    path = shutil.which("kubectl", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if path is None:
        raise NoCluster("wanted kubectl on PATH; `make venv` puts one into .venv")
    return path

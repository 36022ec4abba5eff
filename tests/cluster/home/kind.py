# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster by kind (Kubernetes in Docker), where somebody has installed that."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.home.errors import ClusterError
from tests.cluster.home.layout import RUNNING
from tests.images import archives

NAME = "cost-agent-tests"
_TIMEOUT_S = 3600.0


def is_installed() -> bool:
    return shutil.which("kind") is not None


@contextmanager
def cluster() -> Iterator[Path]:
    """The kubeconfig of a kind cluster with the demo agent's images, gone after the block.

    One of that name that is there already is used, and stays. Raises ClusterError.
    """
    RUNNING.mkdir(parents=True, exist_ok=True)
    kubeconfig = RUNNING / "kind.kubeconfig"
    was_there = NAME in _kind("get", "clusters").split()
    try:
        if was_there:
            _kind("export", "kubeconfig", "--name", NAME, "--kubeconfig", str(kubeconfig))
        else:
            _kind("create", "cluster", "--name", NAME, "--kubeconfig", str(kubeconfig))
        _kind("load", "image-archive", "--name", NAME, str(archives()["releases"]))
        yield kubeconfig
    finally:
        if not was_there:
            _kind("delete", "cluster", "--name", NAME, "--kubeconfig", str(kubeconfig))


def _kind(*arguments: str) -> str:
    result = subprocess.run(
        ["kind", *arguments], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
    )
    if result.returncode != 0:
        raise ClusterError(f"kind: {' '.join(arguments)}: {result.stderr.strip()}")
    return result.stdout

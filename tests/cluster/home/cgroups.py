# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cgroup of a node: made for its kubelet, and the certain way to all of its pods' processes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from demo.stack.processes import Identity, StopStep
from tests.cluster.home.errors import ClusterError
from tests.cluster.home.mounts import mount_points

_ROOT = Path("/sys/fs/cgroup")
_KILL = (StopStep(signal.SIGKILL, 60.0),)
_REMOVAL_TIMEOUT_S = 10.0


def create(name: str) -> None:
    """Make the cgroup in every hierarchy: the kubelet wants its root to exist in all of them."""
    if (_ROOT / "cgroup.controllers").exists():
        available = (_ROOT / "cgroup.controllers").read_text().split()
        (_ROOT / "cgroup.subtree_control").write_text(" ".join(f"+{each}" for each in available))
    for hierarchy in _hierarchies():
        group = hierarchy / name
        group.mkdir(exist_ok=True)
        if (hierarchy / "cpuset.mems").exists():
            # Version 1: a new cpuset is empty, and nothing can run in it.
            for setting in ("cpuset.cpus", "cpuset.mems"):
                (group / setting).write_text((hierarchy / setting).read_text())


def remove(name: str) -> None:
    """End every process in the cgroup and remove it. Raises ClusterError when that cannot be."""
    groups = [group for hierarchy in _hierarchies() if (group := hierarchy / name).is_dir()]
    deadline = time.monotonic() + _REMOVAL_TIMEOUT_S
    while any(_processes(group) for group in groups):
        kill_processes(name)
        if time.monotonic() > deadline:
            raise ClusterError(f"cgroup {name}: processes do not end after SIGKILL")
    for group in groups:
        _remove_tree(group, deadline)


def kill_processes(name: str) -> None:
    """End every process in the cgroup, and so every container of the node."""
    for hierarchy in _hierarchies():
        for identity in _processes(hierarchy / name):
            identity.stop(_KILL)


def _hierarchies() -> list[Path]:
    """One for version 2, one per controller for version 1; a folder alone proves nothing."""
    mounted = set(mount_points()).intersection((_ROOT, *_ROOT.glob("*")))
    return sorted(path for path in mounted if (path / "cgroup.procs").exists())


def _processes(group: Path) -> list[Identity]:
    found = []
    for folder, _folders, files in os.walk(group):
        if "cgroup.procs" not in files:
            continue
        try:
            pids = (Path(folder) / "cgroup.procs").read_text().split()
        except OSError:
            continue  # removed meanwhile
        found += [identity for pid in pids if (identity := Identity.of(int(pid))) is not None]
    return found


def _remove_tree(group: Path, deadline: float) -> None:
    """Children first; a cgroup stays busy for a moment after its last process has ended."""
    for folder, _folders, _files in os.walk(group, topdown=False):
        while True:
            try:
                os.rmdir(folder)
            except FileNotFoundError:
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                break

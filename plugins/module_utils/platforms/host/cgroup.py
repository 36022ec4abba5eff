# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Control groups, v1 and v2 and both beside each other: what a process's group uses and may use.

v1 has a hierarchy for each controller, v2 one for all. A process's membership tells which.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 60  # v1 says "none" with a number near 2^63


def memory_limits(membership: Path, root: Path) -> list[int]:
    """The memory limits in bytes of a process's groups, innermost first.

    `membership` is its `/proc/PID/cgroup`. Inside a container the path may name folders that
    only the host has: the mounted root is then the container's own group, and is looked at in
    any case.
    """
    found = []
    for mount, group, is_v2 in _hierarchies(membership, root, "memory"):
        name = "memory.max" if is_v2 else "memory.limit_in_bytes"
        for folder in (group, *group.parents):
            limit = _number(mount / folder / name)
            if limit is not None and limit < _UNLIMITED:
                found.append(limit)
    return found


def process_memory_limits(pid: int) -> list[int]:
    """The memory limits in bytes of a process of this machine, innermost first."""
    return memory_limits(Path(f"/proc/{pid}/cgroup"), ROOT)


def memory_bytes(membership: Path, root: Path, unit: str) -> int | None:
    """What the group of a unit holds, less the file cache that is given back when it is needed.

    As the kubelet counts it for its working set. None where no hierarchy has a group of that
    name that counts memory.
    """
    for mount, group, is_v2 in _hierarchies(membership, root, "memory"):
        folder = mount / group
        used = _number(folder / ("memory.current" if is_v2 else "memory.usage_in_bytes"))
        if group.name == unit and used is not None:
            inactive = "inactive_file" if is_v2 else "total_inactive_file"
            return max(0, used - (_field(folder / "memory.stat", inactive) or 0))
    return None


def cpu_seconds(membership: Path, root: Path, unit: str) -> float | None:
    """The CPU time of a unit's group since it was made, its ended processes included."""
    for mount, group, is_v2 in _hierarchies(membership, root, "cpuacct"):
        if group.name != unit:
            continue
        if is_v2:
            used = _field(mount / group / "cpu.stat", "usage_usec")
            if used is not None:
                return used / 1e6
        else:
            used = _number(mount / group / "cpuacct.usage")
            if used is not None:
                return used / 1e9
    return None


def processes(membership: Path, root: Path, unit: str) -> list[int]:
    """The pids in a unit's group, in whichever hierarchy systemd keeps its units."""
    for mount, group, _is_v2 in _hierarchies(membership, root, "name=systemd"):
        if group.name == unit:
            try:
                text = (mount / group / "cgroup.procs").read_text(encoding="ascii")
            except OSError:
                continue
            return [int(line) for line in text.split()]
    return []


def _hierarchies(membership: Path, root: Path, controller: str) -> list[tuple[Path, Path, bool]]:
    """Where each hierarchy that may have the controller is mounted, its group, and if it is v2."""
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _id, controllers, path = line.split(":", 2)
        group = Path(path.strip("/"))
        if controllers == "":
            mixed = root / "unified"  # v2 beside v1
            found.append((mixed if mixed.is_dir() else root, group, True))
        elif controller in controllers.split(","):
            found.append((root / controller.rpartition("=")[2], group, False))
    return found


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):  # "max"
        return None


def _field(path: Path, name: str) -> int | None:
    """A number in a file of `name number` lines."""
    try:
        for line in path.read_text(encoding="ascii").splitlines():
            key, _space, value = line.partition(" ")
            if key == name:
                return int(value)
    except (OSError, ValueError):
        pass
    return None

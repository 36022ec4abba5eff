# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine must have before an agent is deployed to it. Looks only; creates nothing."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Collection
from pathlib import Path

from ...core.errors import OperationError
from ..protocol import Check
from . import ports

_OLDEST_PYTHON = (3, 9)


def python_version() -> Check:
    """The interpreter that this runs on, which also makes the releases' venvs."""
    have = ".".join(map(str, sys.version_info[:2]))
    ok = sys.version_info >= _OLDEST_PYTHON
    needed = "" if ok else f", {'.'.join(map(str, _OLDEST_PYTHON))} or newer is needed"
    return Check("python", ok, f"python {have}{needed}")


def process_files() -> Check:
    """/proc, from which processes are told apart."""
    ok = Path("/proc/self/stat").exists()
    return Check("proc", ok, "/proc is there" if ok else "/proc is not mounted (Linux only)")


def root() -> Check:
    """The right to change units of the system."""
    ok = os.geteuid() == 0
    return Check("root", ok, "this is root" if ok else "this is not root: set become")


def writable_home(home: Path) -> Check:
    """The agent's folder, or the right to make it."""
    seen = unwritable(home)
    return Check("home", seen is None, seen or f"{home} is writable")


def unwritable(folder: Path) -> str | None:
    """Why this user could not write into a folder, made where it is missing; None if possible."""
    for place in (folder, *folder.parents):
        try:
            place.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            return f"{place}: {(error.strerror or str(error)).lower()}"
        if not place.is_dir():
            return f"{place} is not a folder"
        if not os.access(place, os.W_OK | os.X_OK):
            return f"{place} is not writable for this user"
        return None
    return f"{folder} has no existing parent"


def free_disk(home: Path, disk_mb: int) -> Check:
    """Space on the home's file system, in MiB."""
    place = next(place for place in (home, *home.parents) if place.exists())
    free_mb = shutil.disk_usage(place).free // (1024 * 1024)
    needed = "" if free_mb >= disk_mb else f", {disk_mb} MB are needed"
    return Check("disk", not needed, f"{free_mb} MB free on {place}{needed}")


def free_ports(host: str, wanted: range, ours: Collection[int]) -> Check:
    """The replicas' ports: free, or held by this agent's own replicas."""
    if not wanted:
        return Check("ports", True, "no port needed")
    name = f"port range {wanted[0]}-{wanted[-1]}" if len(wanted) > 1 else f"port {wanted[0]}"
    obstacles = (ports.obstacle(host, port) for port in wanted if port not in ours)
    seen = [obstacle.seen for obstacle in obstacles if obstacle]
    return Check("ports", not seen, "; ".join(seen) or f"{name} free")


def source_with_app(source: Path, app: str) -> Check:
    """A release's source and, in it, the module of its application."""
    # Reads archives, which nothing else does that observes replicas: loaded when it is needed.
    from .release_source import open_source

    module = app.partition(":")[0]
    try:
        with open_source(source, module) as release:
            found = release.has_module(module)
    except OperationError as error:
        return Check("source", False, f"{source}: {error.seen}")
    return Check("source", found, f"{source} has {module if found else f'no module {module}'}")

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an engine must have before an agent is deployed to it. Looks only; creates nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..host.preflight import free_disk
from ..protocol import Check
from .engine import Engine
from .options import DockerOptions


def checks(
    engine: Engine,
    options: DockerOptions,
    obstacles: Mapping[int, str],
    wanted: range,
    disk_mb: int,
    source: Path | None,
) -> list[Check]:
    """Everything that a start and a deploy need of the engine."""
    info = engine.info()
    found = [_engine(info), _network(engine, options.container.network)]
    root = Path(info.get("DockerRootDir") or "/")
    # A path of the engine's machine: only where that is this one can its disk be looked at.
    if options.connection.machine is None and root.exists():
        found.append(free_disk(root, disk_mb))
    found.append(_ports(obstacles, wanted))
    if source is not None:
        found.append(Check("source", False, "platform docker runs images, not a source folder"))
    return found


def _engine(info: Mapping[str, Any]) -> Check:
    version, cores = info.get("ServerVersion", "?"), info.get("NCPU", "?")
    memory_mb = int(info.get("MemTotal") or 0) // (1024 * 1024)
    return Check("engine", True, f"docker {version}, {cores} cores, {memory_mb} MB")


def _network(engine: Engine, name: str) -> Check:
    ok = name.startswith("container:") or engine.has_network(name)
    return Check("network", ok, f"network {name}" + ("" if ok else " is not there"))


def _ports(obstacles: Mapping[int, str], wanted: range) -> Check:
    name = f"port range {wanted[0]}-{wanted[-1]}" if len(wanted) > 1 else f"port {wanted[0]}"
    return Check("ports", not obstacles, "; ".join(obstacles.values()) or f"{name} free")

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which ports of a range are taken, and by whom: the engine's containers, or other programs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ..host import ports as machine_ports

_WILDCARDS = ("", "0.0.0.0", "::")


def obstacles(
    host: str, wanted: Collection[int], listed: Sequence[Mapping[str, Any]], is_local: bool
) -> dict[int, str]:
    """Why a port cannot be published, in words, for each one that cannot.

    `listed` are all containers of the engine. What other programs hold is to be seen only where
    the engine's machine is this one.
    """
    found = {}
    published = publishers(listed)
    for port in sorted(wanted):
        names = [name for name, address in published.get(port, []) if _meet(host, address)]
        if names:
            found[port] = f"port {port} is published by container {names[0]}"
        elif is_local:
            obstacle = machine_ports.obstacle(host, port)
            if obstacle is not None:
                found[port] = obstacle.seen
    return found


def publishers(listed: Sequence[Mapping[str, Any]]) -> dict[int, list[tuple[str, str]]]:
    """The names of the containers that publish each port, and on which address."""
    found: dict[int, list[tuple[str, str]]] = {}
    for each in listed:
        name = (each.get("Names") or ["/?"])[0].lstrip("/")
        for port in each.get("Ports") or []:
            if port.get("PublicPort") and port.get("Type") == "tcp":
                pair = (name, port.get("IP") or "")
                found.setdefault(port["PublicPort"], []).append(pair)
    return found


def _meet(first: str, second: str) -> bool:
    return first == second or first in _WILDCARDS or second in _WILDCARDS

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A network bridge of our own for the containers of one engine.

Docker's own docker0 and its firewall rules are the machine's; an engine with another bridge and
without rules leaves both alone, and several checkouts can each run one at the same time.
"""

from __future__ import annotations

import ipaddress
import json
import subprocess
from pathlib import Path
from typing import Any

from demo.stack.file_lock import exclusive
from tests.platforms.home.errors import PlatformError

# Private addresses (RFC 1918) that neither Docker nor Kubernetes takes by itself.
_CANDIDATES = ipaddress.IPv4Network("10.213.0.0/16")
_PREFIX = 24
_LOCK = Path("/run/cost-agent-bridge.lock")


class Bridge:
    """One bridge; the machine has the first address of its network."""

    def __init__(self, name: str) -> None:
        """`name` has 15 characters at the most, as every network interface."""
        self.name = name

    @property
    def gateway(self) -> str | None:
        """The machine's address on the bridge; None when there is no bridge."""
        for interface in _ip("-4", "address", "show"):
            if interface["ifname"] == self.name:
                for address in interface["addr_info"]:
                    return str(address["local"])
        return None

    def create(self) -> None:
        """Make the bridge with a network that nothing on this machine reaches yet."""
        self.delete()
        with exclusive(_LOCK):  # or two engines that start together take the same network
            network = _unused_network()
            _ip("link", "add", "name", self.name, "type", "bridge")
            _ip("address", "add", f"{network[1]}/{_PREFIX}", "dev", self.name)
            _ip("link", "set", self.name, "up")

    def delete(self) -> None:
        """Remove the bridge if it is there."""
        if any(link["ifname"] == self.name for link in _ip("link", "show")):
            _ip("link", "delete", self.name)


def _unused_network() -> ipaddress.IPv4Network:
    taken = [
        ipaddress.ip_network(route["dst"])
        for route in _ip("-4", "route", "show", "table", "all")
        if route["dst"] != "default" and route.get("type") not in ("broadcast", "multicast")
    ]
    for network in _CANDIDATES.subnets(new_prefix=_PREFIX):
        if not any(network.overlaps(each) for each in taken):
            return network
    raise PlatformError(f"bridge: every network of {_CANDIDATES} is in use on this machine")


def _ip(*words: str) -> list[dict[str, Any]]:
    finished = subprocess.run(
        ["ip", "-json", *words],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if finished.returncode != 0:
        raise PlatformError(f"bridge: ip {' '.join(words)}: {finished.stderr.strip()}")
    listed: list[dict[str, Any]] = json.loads(finished.stdout or "[]")
    return [entry for entry in listed if entry]

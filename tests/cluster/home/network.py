# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network namespaces of a cluster: the whole of it in one that has no way out.

Pods, Services and the API are reachable inside only, iptables rules and network settings are the
namespace's own, and deleting it undoes them all.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.home.errors import ClusterError
from tests.cluster.home.layout import API_ADDRESS, SERVICES, Layout, NodePlace

_NAMESPACES = Path("/run/netns")


def namespace_file(name: str) -> Path:
    return _NAMESPACES / name


def enter_prefix(name: str) -> tuple[str, ...]:
    """The words before a command that run it inside.

    Not `ip netns exec`, which mounts a new /sys over the old one and so hides the cgroups.
    """
    return ("nsenter", f"--net={namespace_file(name)}", "--")


def exists(name: str) -> bool:
    """Whether the name stands for a namespace; a killed `ip netns add` leaves an empty file."""
    path = namespace_file(name)
    return path.exists() and path.stat().st_dev != path.parent.stat().st_dev


def is_inside(name: str) -> bool:
    """Whether this process runs in that namespace."""
    return exists(name) and os.path.samestat(
        namespace_file(name).stat(), os.stat("/proc/self/ns/net")
    )


def enter(name: str, command: Sequence[str]) -> None:
    """Go on as `command`, inside the namespace. Does not return."""
    prefix = enter_prefix(name)
    os.execvp(prefix[0], [*prefix, *command])


def create(layout: Layout) -> None:
    """Make the cluster's namespace, or finish what a killed `up` began."""
    _add_namespace(layout.name)
    _run(layout.name, "ip", "link", "set", "lo", "up")
    _add_veth(layout.name, "node0", "node0p", None)
    _run(layout.name, "ip", "link", "set", "node0p", "up")
    _run(layout.name, "ip", "address", "replace", f"{API_ADDRESS}/24", "dev", "node0")
    _run(layout.name, "ip", "link", "set", "node0", "up")
    # connect() wants a route before iptables turns a Service's address into a pod's.
    _run(layout.name, "ip", "route", "replace", str(SERVICES), "dev", "node0")
    _forward(layout.name)


def attach(node: NodePlace) -> None:
    """Make the namespace of another node, and a cable from the first node to it."""
    cluster = node.layout.name
    cable = f"to-{node.name}"
    _add_namespace(node.namespace)
    _add_veth(cluster, cable, "eth0", node.namespace)
    _run(cluster, "ip", "address", "replace", f"{node.gateway}/30", "dev", cable)
    _run(cluster, "ip", "link", "set", cable, "up")
    _run(cluster, "ip", "route", "replace", node.pods, "via", node.address)
    _run(node.namespace, "ip", "link", "set", "lo", "up")
    _run(node.namespace, "ip", "address", "replace", f"{node.address}/30", "dev", "eth0")
    _run(node.namespace, "ip", "link", "set", "eth0", "up")
    _run(node.namespace, "ip", "route", "replace", "default", "via", node.gateway)
    _forward(node.namespace)


def delete(name: str) -> None:
    """Remove a namespace with all that is in it; nothing when there is none."""
    if namespace_file(name).exists():
        _must("ip", "netns", "delete", name)


def _add_namespace(name: str) -> None:
    if not exists(name):
        delete(name)
        _must("ip", "netns", "add", name)


def _add_veth(namespace: str, end: str, other_end: str, other_namespace: str | None) -> None:
    shown = subprocess.run(
        [*enter_prefix(namespace), "ip", "link", "show", end],
        capture_output=True,
        timeout=300,
        check=False,
    )
    if shown.returncode == 0:
        return
    where = () if other_namespace is None else ("netns", other_namespace)
    _run(namespace, "ip", "link", "add", end, "type", "veth", "peer", "name", other_end, *where)


def _forward(namespace: str) -> None:
    """Let the namespace route between pods, and show bridged packets to iptables."""
    settings = Path("/proc/sys/net")
    for name in ("ipv4/ip_forward", "bridge/bridge-nf-call-iptables"):
        if (settings / name).exists():
            # /proc/sys/net shows the namespace of whoever opens it.
            _must(*enter_prefix(namespace), "tee", str(settings / name), standard_input="1\n")


def _run(namespace: str, *command: str) -> None:
    _must(*enter_prefix(namespace), *command)


def _must(*command: str, standard_input: str = "") -> None:
    result = subprocess.run(
        command, input=standard_input, capture_output=True, text=True, timeout=300, check=False
    )
    if result.returncode != 0:
        raise ClusterError(f"network: {' '.join(command)}: {result.stderr.strip()}")

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The body of the request that creates a replica's container (Engine API, ContainerCreate)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..agent_options import Serving
from .options import ContainerOptions

_MIB = 1024 * 1024


def creation(
    image: str,
    serving: Serving,
    options: ContainerOptions,
    host_port: int,
    environment: Mapping[str, str],
    labels: Mapping[str, str],
) -> dict[str, Any]:
    """A container of `image` that serves `options.container_port` on `host_port`."""
    inside = f"{options.container_port}/tcp"
    body: dict[str, Any] = {
        "Image": image,
        "Env": env_entries(environment),
        "Labels": {**options.labels, **labels},
        "ExposedPorts": {inside: {}},
        "HostConfig": _host_config(serving, options, {inside: [_binding(serving, host_port)]}),
    }
    if options.command:
        body["Cmd"] = list(options.command)
    if options.user:
        body["User"] = options.user
    return body


def env_entries(variables: Mapping[str, str]) -> list[str]:
    """Variables as the engine takes them."""
    return [f"{name}={value}" for name, value in sorted(variables.items())]


def _binding(serving: Serving, host_port: int) -> dict[str, str]:
    return {"HostIp": serving.host, "HostPort": str(host_port)}


def _host_config(
    serving: Serving, options: ContainerOptions, bindings: dict[str, Any]
) -> dict[str, Any]:
    host: dict[str, Any] = {
        "NetworkMode": options.network,
        "PortBindings": bindings,
        "RestartPolicy": {"Name": options.restart_policy},
        "ReadonlyRootfs": options.read_only,
        "Binds": list(options.volumes),
        "SecurityOpt": ["no-new-privileges"],
    }
    if options.read_only:
        host["Tmpfs"] = {"/tmp": "rw,noexec,nosuid,nodev,size=64m"}
    if serving.memory_limit_mb is not None:
        limit = serving.memory_limit_mb * _MIB
        # The same with swap: a replica that swaps misses its latency long before it fails.
        host.update(Memory=limit, MemorySwap=limit)
    if serving.cpu_limit_cores is not None:
        host["NanoCpus"] = round(serving.cpu_limit_cores * 1e9)
    if options.log_driver or options.log_options:
        host["LogConfig"] = {"Type": options.log_driver, "Config": dict(options.log_options)}
    return host

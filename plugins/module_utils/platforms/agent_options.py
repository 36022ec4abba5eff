# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parameters of this area, checked once and typed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..core.errors import invalid_option
from ..core.state_store import StateStore
from ..repository import open_state_store
from .kubernetes.options import DEFAULT_NAMESPACE

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")
_APP = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*(\(\))?\Z")
_READY_PATH = re.compile(r"/[!-~]*\Z")
_LAST_PORT = 65535


@dataclass(frozen=True)
class Agent:
    """Which agent on which platform, and where its state is kept.

    `docker` and `kubernetes` are those options as they were given, for the driver of the platform
    to read.
    """

    platform: str
    name: str
    home: Path
    store: StateStore
    docker: Mapping[str, Any] = field(default_factory=dict)
    kubernetes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Serving:
    """How each replica serves; `port` is the first one's."""

    host: str
    port: int
    app: str
    workers: int
    ready_path: str
    memory_limit_mb: int | None
    cpu_limit_cores: float | None = None

    def started_with(self) -> dict[str, Any]:
        """What a replica's record keeps, and what makes a running replica another one."""
        return {
            "app": self.app,
            "host": self.host,
            "workers": self.workers,
            "ready_path": self.ready_path,
            "memory_limit_mb": self.memory_limit_mb,
            "cpu_limit_cores": self.cpu_limit_cores,
        }


@dataclass(frozen=True)
class Limits:
    """How long things may take, in seconds; `timeout_s` is the deadline of the whole call."""

    timeout_s: float
    stop_grace_s: float
    stable_s: float


def read_agent(params: dict[str, Any]) -> Agent:
    """The platform options; raises `invalid_input`."""
    name, home = params["name"], Path(params["home"])
    if not _NAME.match(name):
        raise invalid_option(
            "name", f"{name!r} is not a name", "Use a-z, 0-9 and -, 63 at the most"
        )
    if not home.is_absolute() or "\0" in str(home):
        raise invalid_option(
            "home", f"{str(home)!r} is no absolute path", "Give it from the root on"
        )
    docker, kubernetes = params.get("docker") or {}, params.get("kubernetes") or {}
    if params["platform"] == "kubernetes" and not params["state_store"]:
        from .kubernetes.state_store import open_config_maps

        store: StateStore = open_config_maps(kubernetes, name)
    else:
        store = open_state_store(state_store_url(params))
    return Agent(params["platform"], name, home, store, docker=docker, kubernetes=kubernetes)


def state_store_url(params: dict[str, Any]) -> str:
    """Where the state store is; without one that is named, a folder in the agent's home.

    On Kubernetes it is ConfigMaps then, whose annotation `cost-agent.optiinfra/key` is the key.
    """
    if params["state_store"]:
        return str(params["state_store"])
    if params["platform"] == "kubernetes":
        namespace = (params.get("kubernetes") or {}).get("namespace")
        return f"configmap://{namespace or DEFAULT_NAMESPACE}"
    return "file://" + quote(str(Path(params["home"]) / "state"))


def read_serving(params: dict[str, Any]) -> Serving:
    """The serving options; modules without some of them get their defaults.

    Raises `invalid_input`.
    """
    serving = Serving(
        host=params["host"],
        port=params["port"],
        app=params["app"],
        workers=params.get("workers", 1),
        ready_path=params.get("ready_path", "/api/v1/ready"),
        memory_limit_mb=params.get("memory_limit_mb"),
        cpu_limit_cores=params.get("cpu_limit_cores"),
    )
    if not 1 <= serving.port <= _LAST_PORT:
        raise invalid_option("port", f"{serving.port} is out of range", f"Give 1 to {_LAST_PORT}")
    if not re.match(r"[0-9A-Za-z.:%-]+\Z", serving.host):
        raise invalid_option(
            "host", f"{serving.host!r} is no address", "Give an address such as 0.0.0.0"
        )
    if not _APP.match(serving.app):
        raise invalid_option(
            "app", f"{serving.app!r} is not module:attribute", "Write src.main:app"
        )
    if not _READY_PATH.match(serving.ready_path):
        raise invalid_option(
            "ready_path", f"{serving.ready_path!r} is no path", "Begin it with / and use no space"
        )
    at_least("workers", serving.workers, 1)
    if serving.memory_limit_mb is not None:
        at_least("memory_limit_mb", serving.memory_limit_mb, 1)
    if serving.cpu_limit_cores is not None:
        at_least("cpu_limit_cores", serving.cpu_limit_cores, 0.01)
    return serving


def read_replicas(replicas: int | None, port: int) -> int | None:
    """The count, None where it is left open; raises `invalid_input`."""
    if replicas == 0:
        raise invalid_option(
            "replicas",
            "0 replicas would be a stop",
            "To stop the agent, use state stopped (stop.yml)",
        )
    if replicas is not None:
        at_least("replicas", replicas, 1)
        require_ports(port, replicas)
    return replicas


def require_ports(port: int, replicas: int) -> None:
    """Raise `invalid_input` unless there is a port for each replica."""
    last = port + replicas - 1
    if last > _LAST_PORT:
        raise invalid_option(
            "replicas",
            f"{replicas} replicas from port {port} need ports up to {last}",
            f"Stay below {_LAST_PORT + 1}",
        )


def read_limits(params: dict[str, Any]) -> Limits:
    """The time limits; raises `invalid_input`."""
    limits = Limits(params["timeout_s"], params["stop_grace_s"], params["stable_s"])
    if not 0 < limits.timeout_s < float("inf"):
        raise invalid_option(
            "timeout_s", f"{limits.timeout_s:g} is no time limit", "Give seconds above 0"
        )
    at_least("stop_grace_s", limits.stop_grace_s, 0)
    at_least("stable_s", limits.stable_s, 0)
    for name in ("stop_grace_s", "stable_s"):
        if getattr(limits, name) >= limits.timeout_s:
            raise invalid_option(
                "timeout_s",
                f"{limits.timeout_s:g} s are over before {name}, {getattr(limits, name):g} s, is",
                f"Raise timeout_s or lower {name}",
            )
    return limits


def at_least(option: str, value: float, least: float) -> None:
    """Raise `invalid_input` for less than that, and for what is no number."""
    if not value >= least:
        raise invalid_option(option, f"{value:g} is less than {least:g}", f"Give {least:g} or more")

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One container, as the engine tells of it: the parts of `docker inspect` that this reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

_FRACTION = re.compile(r"\.(\d{1,6})\d*")
_NEVER = "0001-01-01"


@dataclass(frozen=True)
class Container:
    """A container; times in seconds since the epoch, None for what never was.

    `status` is the engine's word: created, running, paused, restarting, removing, exited, dead.
    `health` is the verdict of the image's HEALTHCHECK, empty where it has none, and
    `health_said` what that printed last.
    """

    id: str
    name: str
    image_id: str
    image: str
    status: str
    exit_code: int
    error: str
    is_oom_killed: bool
    pid: int
    restart_count: int
    created_at: float | None
    started_at: float | None
    finished_at: float | None
    health: str
    health_said: str
    labels: Mapping[str, str]
    environment: Mapping[str, str]
    host_port: int | None
    host_address: str
    network_address: str
    cpu_limit_cores: float | None

    @property
    def is_running(self) -> bool:
        return self.status in ("running", "paused")

    @property
    def is_over(self) -> bool:
        """Whether it does not run and nothing will make it run but a command."""
        return self.status in ("created", "exited", "dead", "removing")


def parse_container(seen: Mapping[str, Any], container_port: int | None = None) -> Container:
    """A container from the engine's answer to inspect.

    `host_port` is where `container_port` is published, or else the first published port.
    """
    state, config, host = seen["State"], seen["Config"], seen["HostConfig"]
    health = state.get("Health") or {}
    address, port = _published(host.get("PortBindings") or {}, container_port)
    if port is None:  # chosen by the engine, which tells it only while it runs
        networks = seen.get("NetworkSettings") or {}
        address, port = _published(networks.get("Ports") or {}, container_port)
    nano_cpus = host.get("NanoCpus") or 0
    return Container(
        id=seen["Id"],
        name=seen["Name"].lstrip("/"),
        image_id=seen["Image"],
        image=config.get("Image") or "",
        status=state["Status"],
        exit_code=state.get("ExitCode") or 0,
        error=state.get("Error") or "",
        is_oom_killed=bool(state.get("OOMKilled")),
        pid=state.get("Pid") or 0,
        restart_count=seen.get("RestartCount") or 0,
        created_at=epoch_s(seen.get("Created")),
        started_at=epoch_s(state.get("StartedAt")),
        finished_at=epoch_s(state.get("FinishedAt")),
        health="" if health.get("Status") in (None, "none") else health["Status"],
        health_said=_last_output(health),
        labels=config.get("Labels") or {},
        environment=_variables(config.get("Env") or []),
        host_port=port,
        host_address=address,
        network_address=_network_address(seen.get("NetworkSettings") or {}),
        cpu_limit_cores=nano_cpus / 1e9 if nano_cpus else None,
    )


def ended_words(container: Container) -> str:
    """How a container that does not run came to its end."""
    if container.status == "created":
        said = f": {container.error}" if container.error else ""
        return f"it was created and did not start{said}"
    how = f"it ended with exit code {container.exit_code}"
    if container.is_oom_killed:
        how += ", killed for lack of memory"
    if container.error:
        how += f": {container.error}"
    return how + _restarts(container)


def restarted_words(container: Container, last_end: str) -> str:
    """What there is to say of one that ended and runs again; its state tells of this run only."""
    return f"it ended with {last_end or 'an exit code not known'}{_restarts(container)}"


def _restarts(container: Container) -> str:
    count = container.restart_count
    if not count:
        return ""
    return f", and the engine restarted it {count} time{'s' if count > 1 else ''}"


def unready_words(container: Container) -> list[str]:
    """What the engine knows about a running container that is not ready."""
    words = []
    if container.status == "paused":
        words.append("it is paused (docker unpause lets it go on)")
    if container.health == "starting":
        words.append("its HEALTHCHECK has not passed yet")
    if container.health == "unhealthy":
        said = f": {container.health_said}" if container.health_said else ""
        words.append(f"its HEALTHCHECK fails{said}")
    return words


def _published(
    bindings: Mapping[str, list[dict[str, str]] | None], container_port: int | None
) -> tuple[str, int | None]:
    wanted = f"{container_port}/tcp"
    ordered = sorted(bindings.items(), key=lambda item: item[0] != wanted)
    for inside, outside in ordered:
        for binding in outside or []:
            if inside.endswith("/tcp") and binding.get("HostPort", "").isdigit():
                port = int(binding["HostPort"])
                if port:
                    return binding.get("HostIp") or "0.0.0.0", port
    return "0.0.0.0", None


def _network_address(settings: Mapping[str, Any]) -> str:
    """Its address in the first of its networks, where the engine's own machine reaches it."""
    networks = (settings.get("Networks") or {}).values()
    return next((each["IPAddress"] for each in networks if each.get("IPAddress")), "")


def _variables(lines: list[str]) -> dict[str, str]:
    pairs = (line.partition("=") for line in lines)
    return {name: value for name, _equals, value in pairs}


def _last_output(health: Mapping[str, Any]) -> str:
    log = health.get("Log") or []
    lines = (log[-1].get("Output") or "").strip().splitlines() if log else []
    return lines[-1][:200] if lines else ""


def epoch_s(text: str | None) -> float | None:
    """Seconds since the epoch of the engine's RFC 3339, which has nanoseconds."""
    if not text or text.startswith(_NEVER):
        return None
    shorter = _FRACTION.sub(lambda match: "." + match[1].ljust(6, "0"), text)
    return (
        datetime.fromisoformat(shorter.replace("Z", "+00:00")).astimezone(timezone.utc).timestamp()
    )

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One replica as its units, its record and its readiness endpoint show it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ...core.clock import Clock
from ...core.process_identity import identify
from ..agent_options import Agent
from ..host import cgroup, ports
from ..host.file_access import file_access
from ..host.usage import usage_of
from ..protocol import Replica, Specification, Usage
from ..readiness import probe, url_of
from . import systemctl
from .instance import Instance, Record
from .systemctl import Unit
from .unit_state import rest

_READY_PATH = "/api/v1/ready"
_MIB = 1024 * 1024


class Observer:
    """Looks at replicas of one agent; changes nothing."""

    def __init__(self, agent: Agent, clock: Clock) -> None:
        self._agent = agent
        self._clock = clock

    @functools.cached_property
    def boot(self) -> str:
        """What tells one run of the machine from the next."""
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()

    @functools.cached_property
    def templates(self) -> str:
        """The digest of the agent's unit templates as they are now."""
        return systemctl.templates_digest(self._agent.name)

    def look(
        self,
        instance: Instance,
        units: Mapping[str, Unit],
        specification: Specification | None,
        usage: bool,
        host: str,
        must_not_restart: bool,
    ) -> Replica:
        """The replica; `host` is where it would listen, as far as no record says so.

        One that `must_not_restart` has ended when systemd has had to start it again.
        """
        service = units.get(instance.service, Unit(instance.service))
        socket = units.get(instance.socket, Unit(instance.socket))
        with file_access(f"read the record of {instance.service}", self._agent.home):
            record = instance.record()
        options = (record.specification.options if record else None) or {}
        host = options.get("host", host)
        replica = Replica(instance.service, url_of(host, instance.port), "stopped")
        if service.is_running and not (must_not_restart and service.restarts):
            return self._running(replica, instance, service, socket, record, specification, usage)
        if service.is_running:
            note = f"it ended, and systemd started it again ({service.restarts} times so far)"
            return replace(replica, release=_release(record), note=note)
        if record is None and socket.is_at_rest and service.is_at_rest:
            obstacle = ports.obstacle(host, instance.port)
            if obstacle is not None and obstacle.is_held:
                return replace(replica, status="foreign", note=obstacle.seen)
        note = rest(service, socket, record is not None)
        return replace(replica, release=_release(record), note=note)

    def _running(
        self,
        replica: Replica,
        instance: Instance,
        service: Unit,
        socket: Unit,
        record: Record | None,
        specification: Specification | None,
        usage: bool,
    ) -> Replica:
        options = (record.specification.options if record else None) or {}
        host, path = options.get("host", "0.0.0.0"), options.get("ready_path", _READY_PATH)
        answer = probe(host, instance.port, path, self._clock)
        notes = self._differences(service, socket, record, specification)
        is_up_to_date = specification is not None and not notes
        if not answer.is_ready:
            notes.append(answer.seen)
        if service.restarts:
            notes.append(f"systemd started it again {service.restarts} times")
        is_older = record is not None and not record.is_of(service.started_us, self.boot)
        uptime_s = max(0.0, self._clock.monotonic() - service.started_us / 1e6)
        running = replace(
            replica,
            status="ready" if answer.is_ready else "running",
            release=(record and record.earlier_release if is_older else None) or _release(record),
            up_to_date=is_up_to_date,
            pid=service.main_pid,
            started_at=self._clock.now() - uptime_s,
            note="; ".join(notes),
        )
        return replace(running, usage=_usage(service, uptime_s, options)) if usage else running

    def _differences(
        self,
        service: Unit,
        socket: Unit,
        record: Record | None,
        specification: Specification | None,
    ) -> list[str]:
        """What separates a running replica from a wanted one, in words."""
        if specification is None:
            return []
        if record is None:
            return ["it was not started by this collection"]
        found = record.specification.differences(specification)
        if not record.is_of(service.started_us, self.boot):
            found = found or ["not started since its files were changed"]
        if record.units != self.templates:
            found.append("other unit templates")
        if not socket.is_active:
            found.append("its socket does not listen")
        elif not record.has_address_of(socket.active_us, self.boot):
            found.append("its socket listens on an earlier address")
        return found


def _release(record: Record | None) -> str | None:
    return record.specification.release if record else None


def _usage(service: Unit, uptime_s: float, options: Mapping[str, object]) -> Usage | None:
    """From the unit's control group; from its processes where that does not count them."""
    leader = identify(service.main_pid)
    if leader is None:
        return None
    membership = Path(f"/proc/{service.main_pid}/cgroup")
    pids = cgroup.processes(membership, cgroup.ROOT, service.name)
    family = [process for process in map(identify, pids) if process] or [leader]
    limit_mb = service.memory_max // _MIB if service.memory_max else None
    summed = usage_of(leader, family, limit_mb)
    memory = cgroup.memory_bytes(membership, cgroup.ROOT, service.name)
    cpu = cgroup.cpu_seconds(membership, cgroup.ROOT, service.name)
    cores = options.get("cpu_limit_cores")
    return replace(
        summed,
        memory_bytes=summed.memory_bytes if memory is None else memory,
        cpu_seconds=summed.cpu_seconds if cpu is None else round(cpu, 2),
        uptime_s=round(uptime_s, 2),
        cpu_limit_cores=cores if isinstance(cores, (int, float)) else None,
    )

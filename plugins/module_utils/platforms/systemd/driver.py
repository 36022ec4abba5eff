# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The `systemd` platform: each replica is a service whose socket outlives its restarts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ...core.clock import Clock
from ...core.deadline import Deadline
from ...core.errors import OperationError, Reason
from ...core.redact import redact
from ..agent_options import Agent, Serving
from ..converge import ReplicaPlan
from ..environment import (
    APP_VARIABLE,
    PYTHON_VARIABLE,
    RELEASE_VARIABLE,
    REPLICA_VARIABLE,
    WORKERS_VARIABLE,
)
from ..host import ports, preflight
from ..host.driver import HostDriver
from ..protocol import Check, Goal, LogQuery, Replica, Specification, Stop
from . import journal, systemctl
from .instance import Instance, port_of, record_of, service_name
from .observation import Observer
from .stopping import Ending, stop_all
from .systemctl import Unit

_OBSERVERS = 16


class SystemdDriver(HostDriver):
    """Replicas of one agent on this machine; without `serving` it can observe and stop only."""

    def __init__(self, agent: Agent, serving: Serving | None, clock: Clock) -> None:
        """Raises `precondition` where systemd does not run the machine."""
        systemctl.require_systemd(f"run {agent.name} on platform systemd")
        super().__init__(agent, serving, clock)
        self._observer = Observer(agent, clock)
        self._goal: Goal | None = None
        self._laid_out: set[str] = set()
        self._started: dict[str, float] = {}

    def names(self, count: int) -> list[str]:
        first = self._required_serving().port
        return [service_name(self._agent.name, port) for port in range(first, first + count)]

    # --- observing ----------------------------------------------------------------------------

    def observe(
        self, wanted: Sequence[str], specification: Specification | None, usage: bool = False
    ) -> list[Replica]:
        units = self._units(wanted)
        names = sorted({*wanted, *self._recorded(), *self._in_sight(units)}, key=port_of)
        if not names:
            return []
        missing = [unit for name in names for unit in _unit_names(name) if unit not in units]
        units.update(systemctl.show(missing, f"observe {self._agent.name}"))
        host = self._serving.host if self._serving else "0.0.0.0"

        def look(name: str) -> Replica:
            return self._observer.look(
                self._instance(name), units, specification, usage, host, name in self._started
            )

        # Side by side, so that one that hangs does not delay the others.
        with ThreadPoolExecutor(min(len(names), _OBSERVERS)) as threads:
            return list(threads.map(look, names))

    def _units(self, names: Sequence[str]) -> dict[str, Unit]:
        """The units of these replicas, and all of the agent's that systemd has loaded."""
        patterns = [f"{self._agent.name}@*.service", f"{self._agent.name}@*.socket"]
        asked = [*patterns, *(unit for name in names for unit in _unit_names(name))]
        return systemctl.show(asked, f"observe {self._agent.name}")

    def _recorded(self) -> list[str]:
        """The replicas that have a record."""
        with self._files("list the replicas"):
            files = self._layout.run.glob(f"{self._agent.name}@*.json")
            return [name for path in files if self._is_ours(name := f"{path.stem}.service")]

    def _in_sight(self, units: dict[str, Unit]) -> list[str]:
        """The replicas of units that are not at rest, whoever started them."""
        names = (
            f"{unit.name.rpartition('.')[0]}.service"
            for unit in units.values()
            if not unit.is_at_rest
        )
        return [name for name in names if self._is_ours(name)]

    def _is_ours(self, name: str) -> bool:
        return re.fullmatch(rf"{re.escape(self._agent.name)}@\d+\.service", name) is not None

    def plan(self, goal: Goal) -> ReplicaPlan:
        """Raises `precondition` also for a change that this user may not make."""
        self._goal = goal
        plan = ReplicaPlan(self, goal)
        if plan.changes:
            systemctl.require_root(f"change the units of {self._agent.name}")
            self._require_unmasked([name for wave in plan.waves for name in wave.start])
        return plan

    # --- acting -------------------------------------------------------------------------------

    def require_startable(self, replicas: Sequence[str]) -> None:
        serving = self._required_serving()
        units = self._units(replicas)
        for name in replicas:
            instance = self._instance(name)
            socket = units.get(instance.socket)
            if socket is not None and socket.is_active:
                continue  # its port is its own
            obstacle = ports.obstacle(serving.host, instance.port)
            if obstacle:
                raise OperationError(
                    Reason.PRECONDITION,
                    f"start {name}",
                    obstacle.seen,
                    "End that program, or give another port or host",
                )

    def _require_unmasked(self, replicas: Sequence[str]) -> None:
        for unit in self._units(replicas).values():
            if (
                unit.load_state == "masked"
                and f"{unit.name.rpartition('.')[0]}.service" in replicas
            ):
                raise OperationError(
                    Reason.PRECONDITION,
                    f"start {unit.name}",
                    "it is masked, so that nothing may start it",
                    f"If that is no longer meant: systemctl unmask {unit.name}",
                )

    def start(self, replica: str, specification: Specification) -> None:
        wanted = f"start {replica}"
        instance = self._instance(replica)
        self._require_installed(instance)
        if replica not in self._laid_out:
            self._lay_out(instance, specification)
        self._laid_out.discard(replica)
        units = self._units([replica])
        service, socket = units[instance.service], units[instance.socket]
        self._started.setdefault(replica, self._clock.now())
        if not service.is_enabled:
            systemctl.run(["enable", "--quiet", "--no-reload", instance.service], wanted)
        # So that what failed before does not count against this start.
        systemctl.attempt(["reset-failed", instance.service, instance.socket], wanted)
        with self._files(wanted):
            record = instance.record()
        if (
            socket.is_active
            and record
            and not record.has_address_of(socket.active_us, self._observer.boot)
        ):
            systemctl.attempt(["stop", instance.socket], wanted)
        elif service.is_active and record and record.is_of(service.started_us, self._observer.boot):
            return  # a request that came in meanwhile has had its socket start it
        refusal = systemctl.attempt(["restart", instance.service], wanted)
        if refusal and not self._units([replica])[instance.service].exit_code:
            raise OperationError(
                Reason.FAILED_STATE,
                wanted,
                f"systemd refuses: {refusal}",
                f"See systemctl status {instance.service} and {instance.socket}",
                log_tail=self.log_since_start(replica, 20),
            )

    def _require_installed(self, instance: Instance) -> None:
        for name in (instance.service, instance.socket):
            if systemctl.show([name], f"start {name}")[name].load_state == "not-found":
                raise OperationError(
                    Reason.PRECONDITION,
                    f"start {instance.service}",
                    f"systemd has no unit {self._agent.name}@.{name.rpartition('.')[2]}",
                    "Install the agent's units first, with role deploy",
                )

    def _lay_out(self, instance: Instance, specification: Specification) -> None:
        """Give a replica the files of its next start, and have systemd read what changed."""
        serving = self._required_serving()
        wanted = f"prepare {instance.service}"
        python = self.release_store.required(specification.release).python
        now_us = int(self._clock.monotonic() * 1e6)
        variables = {
            "PATH": f"{python.parent}:/usr/local/bin:/usr/bin:/bin",
            **self.environment().variables(),
            PYTHON_VARIABLE: str(python),
            RELEASE_VARIABLE: specification.release,
            REPLICA_VARIABLE: f"{self._agent.home}:{instance.service}",
            APP_VARIABLE: serving.app,
            WORKERS_VARIABLE: str(serving.workers),
        }
        with self._files(wanted):
            record = record_of(
                specification,
                instance.record(),
                units=self._observer.templates,
                boot=self._observer.boot,
                written_us=now_us,
            )
            changed = instance.lay_out(record, serving, variables, now_us)
        units = systemctl.show(_unit_names(instance.service), wanted).values()
        if changed or any(unit.needs_reload for unit in units):
            systemctl.run(["daemon-reload"], wanted)
        self._laid_out.add(instance.service)

    def stop(self, replicas: Sequence[str], grace_s: float, deadline: Deadline) -> list[Stop]:
        """Those that shall run again keep their socket, where connections wait meanwhile."""
        wanted = f"stop {', '.join(replicas)}"
        goal = self._goal
        for name in replicas:
            if goal and goal.specification and name in goal.intent.names:
                # First, since a connection may have the socket start it the moment it ends.
                self._lay_out(self._instance(name), goal.specification)
        with self._files(wanted):
            graces = [self._instance(name).set_grace(grace_s) for name in replicas]
        if any(graces):
            systemctl.run(["daemon-reload"], wanted)
        units = self._units(replicas)
        endings = [
            Ending(self._instance(name), units[name], keeps_socket=name in self._laid_out)
            for name in replicas
        ]
        for name in self._laid_out.intersection(replicas):
            self._started[name] = self._clock.now()
        stops = stop_all(endings, grace_s, deadline, self._clock)
        self._clear_away([ending.instance for ending in endings if not ending.keeps_socket])
        return stops

    def _clear_away(self, instances: Sequence[Instance]) -> None:
        if not instances:
            return
        names = [unit for instance in instances for unit in _unit_names(instance.service)]
        wanted = f"clear away {', '.join(instance.service for instance in instances)}"
        systemctl.attempt(["disable", "--quiet", "--no-reload", *names], wanted)
        with self._files(wanted):
            for instance in instances:
                instance.clear_away()
        systemctl.attempt(["reset-failed", *names], wanted)
        systemctl.run(["daemon-reload"], wanted)

    # --- logs and preflight -------------------------------------------------------------------

    def log(self, replica: str, query: LogQuery) -> list[str]:
        return self._redacted(journal.newest_lines(replica, query.lines, query.since))

    def log_since_start(self, replica: str, lines: int) -> list[str]:
        journal.write_out()
        found = journal.newest_lines(replica, lines, self._started.get(replica))
        service = self._units([replica]).get(replica)
        if service is not None and service.restarts:
            # Why it ended is not in the few lines that the next run has printed so far.
            found = journal.without_run(found, service.invocation)
        return self._redacted(found)

    def _redacted(self, lines: Sequence[journal.Line]) -> list[str]:
        texts = [line.text for line in lines]
        redacted: list[str] = redact(texts, self.environment().secret_values())
        return redacted

    def logged(self) -> list[str]:
        return sorted(filter(self._is_ours, journal.services_with_a_log()), key=port_of)

    def preflight(self, count: int, disk_mb: int, source: Path | None) -> list[Check]:
        serving = self._required_serving()
        names = self.names(count)
        units = self._units(names)
        sockets = {port_of(name): units.get(self._instance(name).socket) for name in names}
        ours = {port for port, socket in sockets.items() if socket and socket.is_active}
        checks = [
            preflight.python_version(),
            preflight.root(),
            preflight.writable_home(self._agent.home),
            preflight.free_disk(self._agent.home, disk_mb),
            preflight.free_ports(serving.host, range(serving.port, serving.port + count), ours),
        ]
        if source is not None:
            checks.append(preflight.source_with_app(source, serving.app))
        return checks

    # --- details ------------------------------------------------------------------------------

    def _instance(self, name: str) -> Instance:
        return Instance(self._layout, name)


def _unit_names(service: str) -> list[str]:
    return [service, f"{service.rpartition('.')[0]}.socket"]

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The `process` platform: each replica is a detached uvicorn with a pid file and a log file."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from ...core.clock import Clock
from ...core.deadline import Deadline, backoff, poll
from ...core.errors import OperationError, Reason
from ...core.process_identity import ProcessIdentity, this_machine
from ...core.redact import redact
from ..agent_options import Agent, Serving
from ..converge import ReplicaPlan
from ..environment import REPLICA_VARIABLE
from ..host import ports, preflight
from ..host.driver import HostDriver
from ..host.log_file import newest_lines
from ..host.release_environment import release_environment
from ..host.releases import InstalledRelease
from ..host.usage import usage_of
from ..protocol import Check, Goal, LogQuery, Replica, Specification, Stop
from ..readiness import probe, url_of
from . import processes
from .launch import Launch, exit_of, launch
from .pid_file import Record, read_record, unstarted
from .stopping import Ending, stop_all

_RECORDED_WITHIN_S = 10.0
_OBSERVERS = 16


@dataclass(frozen=True)
class _Child:
    """A replica that this driver started: its pid, and where its part of the log begins."""

    pid: int
    log_start: int


class ProcessDriver(HostDriver):
    """Replicas of one agent on this machine; without `serving` it can observe and stop only."""

    def __init__(self, agent: Agent, serving: Serving | None, clock: Clock) -> None:
        super().__init__(agent, serving, clock)
        self._children: dict[str, _Child] = {}
        self._exits: dict[str, str] = {}

    def names(self, count: int) -> list[str]:
        first = self._required_serving().port
        return [self._layout.replica(port) for port in range(first, first + count)]

    # --- observing ----------------------------------------------------------------------------

    def observe(
        self, wanted: Sequence[str], specification: Specification | None, usage: bool = False
    ) -> list[Replica]:
        names = sorted({*wanted, *self._named(self._layout.run, "pid")}, key=_port_of)
        if not names:
            return []
        marked: dict[str, list[ProcessIdentity]] = {}
        if not all(self._has_process(name) for name in names):
            marked = processes.marked(self._agent.home)

        def look(name: str) -> Replica:
            replica = self._look(name, specification, usage)
            return replica or self._look_without_process(name, marked.get(name, []))

        # Side by side, so that one that hangs does not delay the others.
        with ThreadPoolExecutor(min(len(names), _OBSERVERS)) as threads:
            return list(threads.map(look, names))

    def _named(self, folder: Path, suffix: str) -> list[str]:
        """The replicas that have a file of that kind."""
        pattern = re.compile(rf"({re.escape(self._agent.name)}-\d+)\.{suffix}")
        with self._files("list the replicas"):
            try:
                matches = map(pattern.fullmatch, os.listdir(folder))
            except (FileNotFoundError, NotADirectoryError):
                return []
        return [match.group(1) for match in matches if match]

    def _has_process(self, name: str) -> bool:
        record = self._record(name)
        return record is not None and record.process.is_alive()

    def _look(self, name: str, specification: Specification | None, usage: bool) -> Replica | None:
        record = self._record(name)
        if record is None or not record.process.is_alive():
            return None
        options = record.specification.options or {}
        answer = probe(options["host"], record.port, options["ready_path"], self._clock)
        if not record.process.is_alive():  # it ended while it was asked
            return None
        differences = record.specification.differences(specification) if specification else []
        notes = [*differences, *([] if answer.is_ready else [answer.seen])]
        replica = Replica(
            name=name,
            url=url_of(options["host"], record.port),
            status="ready" if answer.is_ready else "running",
            release=record.specification.release,
            up_to_date=specification is not None and not differences,
            pid=record.process.pid,
            started_at=record.started_at,
            note="; ".join(notes),
        )
        if not usage:
            return replica
        family = processes.family(record.process)
        measured = usage_of(record.process, family, options["memory_limit_mb"])
        cores = options.get("cpu_limit_cores")
        return replace(replica, usage=replace(measured, cpu_limit_cores=cores))

    def _look_without_process(self, name: str, marked: Sequence[ProcessIdentity]) -> Replica:
        record = self._record(name)
        host = ((record.specification.options or {}) if record else {}).get("host")
        host = host or (self._serving.host if self._serving else "0.0.0.0")
        replica = Replica(name, url_of(host, _port_of(name)), "stopped")
        if marked:
            note = "it has processes, but its first one is gone or not on record"
            return replace(replica, status="running", pid=marked[0].pid, note=note)
        obstacle = ports.obstacle(host, _port_of(name))
        if obstacle is not None and obstacle.is_held:
            return replace(replica, status="foreign", note=obstacle.seen)
        if name in self._exits:
            return replace(replica, note=self._exits[name])
        if record is None:
            return replica
        return replace(
            replica,
            release=record.specification.release,
            started_at=record.started_at,
            note=f"its process (pid {record.process.pid}) ended without being asked to",
        )

    def _record(self, name: str) -> Record | None:
        child = self._children.get(name)
        if child is not None:
            ended = exit_of(child.pid)
            if ended is not None:
                self._exits[name] = ended
        with self._files(f"read the pid file of {name}"):
            return read_record(self._layout.pid_file(name))

    def plan(self, goal: Goal) -> ReplicaPlan:
        return ReplicaPlan(self, goal)

    # --- acting -------------------------------------------------------------------------------

    def require_startable(self, replicas: Sequence[str]) -> None:
        serving = self._required_serving()
        for folder in (self._layout.run, self._layout.log):
            seen = preflight.unwritable(folder)
            if seen:
                raise OperationError(
                    Reason.PRECONDITION,
                    f"start {self._agent.name}",
                    seen,
                    "Let this user write there, or run this as the user who may",
                )
        for name in replicas:
            obstacle = ports.obstacle(serving.host, _port_of(name))
            if obstacle:
                raise OperationError(
                    Reason.PRECONDITION,
                    f"start {name}",
                    obstacle.seen,
                    "End that program, or give another port or host",
                )

    def start(self, replica: str, specification: Specification) -> None:
        serving = self._required_serving()
        release = self.release_store.required(specification.release)
        log_file, pid_file = self._layout.log_file(replica), self._layout.pid_file(replica)
        port = _port_of(replica)
        order = Launch(
            command=_command(release, serving, port),
            folder=release.folder,
            pid_file=pid_file,
            record=unstarted(port, specification, this_machine()),
            log_file=log_file,
            environment=self._replica_environment(replica, release),
        )
        with self._files(f"start {replica}"):
            for folder in (self._layout.run, self._layout.log):
                folder.mkdir(parents=True, exist_ok=True)
            log_start = log_file.stat().st_size if log_file.exists() else 0
            self._exits.pop(replica, None)
            child = self._children[replica] = _Child(launch(order), log_start)
        self._wait_until_recorded(replica, child)

    def _wait_until_recorded(self, name: str, child: _Child) -> None:
        def look() -> bool | None:
            record = self._record(name)
            return (record is not None and record.process.pid == child.pid) or (
                True if name in self._exits else None
            )

        deadline = Deadline(self._clock, _RECORDED_WITHIN_S)
        if not poll(look, deadline, self._clock, backoff(first=0.002, longest=0.05)):
            raise OperationError(
                Reason.FAILED_STATE,
                f"start {name}",
                f"it did not write its pid file within {_RECORDED_WITHIN_S:g} s",
                "Look whether the machine is overloaded, then run this again",
                log_tail=self.log_since_start(name, 20),
            )

    def stop(self, replicas: Sequence[str], grace_s: float, deadline: Deadline) -> list[Stop]:
        endings = []
        for name in replicas:
            record = self._record(name)
            endings.append(Ending(self._agent.home, name, record.process if record else None))
        return stop_all(endings, grace_s, deadline, self._clock, self._forget)

    def _forget(self, name: str) -> None:
        with self._files(f"remove the pid file of {name}"), contextlib.suppress(FileNotFoundError):
            self._layout.pid_file(name).unlink()

    # --- logs and preflight -------------------------------------------------------------------

    def log(self, replica: str, query: LogQuery) -> list[str]:
        return self._read_log(replica, query.lines, query.since, 0)

    def log_since_start(self, replica: str, lines: int) -> list[str]:
        child = self._children.get(replica)
        return self._read_log(replica, lines, None, child.log_start if child else 0)

    def _read_log(self, name: str, lines: int, since: float | None, start: int) -> list[str]:
        with self._files(f"read the log of {name}"):
            found = newest_lines(self._layout.log_file(name), lines, since, start)
        redacted: list[str] = redact(found, self.environment().secret_values())
        return redacted

    def logged(self) -> list[str]:
        return sorted(self._named(self._layout.log, "log"), key=_port_of)

    def preflight(self, count: int, disk_mb: int, source: Path | None) -> list[Check]:
        serving = self._required_serving()
        replicas = self.observe(self.names(count), None)
        ours = {_port_of(replica.name) for replica in replicas if replica.is_alive}
        wanted = range(serving.port, serving.port + count)
        checks = [
            preflight.python_version(),
            preflight.process_files(),
            preflight.writable_home(self._agent.home),
            preflight.free_disk(self._agent.home, disk_mb),
            preflight.free_ports(serving.host, wanted, ours),
        ]
        if source is not None:
            checks.append(preflight.source_with_app(source, serving.app))
        return checks

    # --- details ------------------------------------------------------------------------------

    def _replica_environment(self, name: str, release: InstalledRelease) -> dict[str, str]:
        return {
            **release_environment(release, self._agent.home, self.environment()),
            REPLICA_VARIABLE: processes.mark(self._agent.home, name),
        }


def _command(release: InstalledRelease, serving: Serving, port: int) -> list[str]:
    """The guide's command, run by the release's own interpreter."""
    command = [str(release.python), "-m", "uvicorn", serving.app]
    command += ["--host", serving.host, "--port", str(port)]
    if serving.workers > 1:
        command += ["--workers", str(serving.workers)]
    return command


def _port_of(name: str) -> int:
    return int(Path(name).name.rpartition("-")[2])

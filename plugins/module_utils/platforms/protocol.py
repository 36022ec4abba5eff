# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One protocol for every platform that the agent runs on.

A driver only observes and acts. What to do about an observation (which replicas to replace, in
which order, when to give up) is decided in `converge`, the same for every platform.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..core.deadline import Deadline
from .environment import Environment

STARTED = "started"
STOPPED = "stopped"
RESTARTED = "restarted"


@dataclass(frozen=True)
class Usage:
    """What one replica uses of its machine.

    Memory in bytes, summed over the replica's processes; `cpu_seconds` is their CPU time since
    the replica started `uptime_s` ago. A limit of None means that nothing limits it.
    `cpu_percent` of one core is the average over the last `cpu_window_s`, where it was watched
    for that long.
    """

    memory_bytes: int
    memory_limit_bytes: int | None
    cpu_seconds: float
    uptime_s: float
    cpu_percent: float | None = None
    cpu_window_s: float | None = None


@dataclass(frozen=True)
class Replica:
    """One running copy of the agent, as it was seen.

    `status` is `running` (process alive), `ready` (answers its readiness endpoint), `stopped`,
    or `foreign` (another program holds its port). `up_to_date` is False when it runs another
    release, environment or option than the agent's current ones. `note` says in words what the
    status does not: why it is not ready, how it ended, who holds its port.
    """

    name: str
    url: str
    status: str
    release: str | None = None
    up_to_date: bool = False
    pid: int | None = None
    started_at: float | None = None
    usage: Usage | None = None
    note: str = ""

    @property
    def is_alive(self) -> bool:
        return self.status in ("running", "ready")


@dataclass(frozen=True)
class Intent:
    """What the operator asked for last: an agent stopped on purpose is not down.

    `replicas` is the count to run, also while stopped: what a start without a count brings back.
    `names` are the replicas that shall run, so that one of which no trace is left is missed.
    """

    state: str  # started | stopped
    replicas: int
    since: float
    names: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class AgentState:
    """The whole agent on one platform; `intent` is None before its first start."""

    platform: str
    name: str
    release: str | None
    intent: Intent | None
    replicas: list[Replica] = field(default_factory=list)
    releases: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Specification:
    """What a replica was, or is to be, started from. Holds no secret, only their digest.

    Options of None stand for any: an observer that was told no options compares the rest.
    """

    release: str
    release_digest: str
    environment_digest: str
    options: dict[str, Any] | None

    def differences(self, wanted: Specification) -> list[str]:
        """What separates a replica that runs this from one that runs `wanted`, in words."""
        found = []
        if self.release != wanted.release:
            found.append(f"release {self.release}, not {wanted.release}")
        elif self.release_digest != wanted.release_digest:
            found.append(f"an earlier build of release {self.release}")
        if self.environment_digest != wanted.environment_digest:
            found.append("another environment")
        if self.options is not None and wanted.options is not None:
            for name in sorted({*self.options, *wanted.options}):
                have, want = self.options.get(name), wanted.options.get(name)
                if have != want:
                    found.append(f"{name} {have}, not {want}")
        return found


@dataclass(frozen=True)
class Stop:
    """How one replica ended: `was_killed` when its grace ran out."""

    replica: str
    was_running: bool
    was_killed: bool
    seconds: float


@dataclass(frozen=True)
class LogQuery:
    """Which lines of a log: the last `lines`, none older than `since` (epoch seconds)."""

    lines: int
    since: float | None = None


@dataclass(frozen=True)
class Check:
    """One thing that a start needs: what was looked at, whether it holds, what was seen."""

    name: str
    ok: bool
    seen: str


class Driver(Protocol):
    """What every platform can do. Replicas are named as `names` gives them.

    Methods raise `OperationError`: `precondition` for what the platform or the machine refuses,
    `timeout` when a deadline passes, `failed_state` for what cannot recover.
    """

    def names(self, count: int) -> list[str]:
        """The replicas that a count stands for, in order; the driver must know its options."""

    def release(self) -> tuple[str, str] | None:
        """Id and digest of the release that replicas are started from; None before a deploy."""

    def releases(self) -> list[dict[str, Any]]:
        """The releases that are kept, newest first."""

    def environment(self) -> Environment:
        """The environment that replicas are started with; empty before the first one is set."""

    def set_environment(self, environment: Environment) -> None:
        """Keep this environment for replicas started from now on."""

    def observe(
        self, wanted: Sequence[str], specification: Specification | None, usage: bool = False
    ) -> list[Replica]:
        """Every replica there is and every wanted one, in order; changes nothing.

        `up_to_date` compares with the specification.
        """

    def require_startable(self, replicas: Sequence[str]) -> None:
        """Raise `precondition` when a replica could not be started here; touch no other."""

    def start(self, replica: str, specification: Specification) -> None:
        """Start a replica that does not run, and return once it is on record; not yet ready."""

    def stop(self, replicas: Sequence[str], grace_s: float, deadline: Deadline) -> list[Stop]:
        """Ask all of them to end at once, and end those by force that outlive the grace.

        Replicas that do not run are cleared away. Raises `timeout` when the deadline passes
        first; a replica is never killed before its grace has passed.
        """

    def log(self, replica: str, query: LogQuery) -> list[str]:
        """The newest lines of a replica's log, oldest first, redacted; memory is bounded."""

    def log_since_start(self, replica: str, lines: int) -> list[str]:
        """Like `log`, but of what this driver started only what came after that start."""

    def logged(self) -> list[str]:
        """The replicas that have a log, in order; some may run no more."""

    def preflight(self, count: int, disk_mb: int, source: Path | None) -> list[Check]:
        """Whether this platform could run that many replicas of the source; changes nothing."""

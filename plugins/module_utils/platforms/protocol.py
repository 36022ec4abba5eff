# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One protocol for every platform that the agent runs on.

A driver observes, and plans the way from what there is to a goal. Where the platform knows single
replicas only (process, systemd, docker), it is a `ReplicaDriver`, which acts on one at a time, and
the plan is `converge`'s, the same for all of them. Kubernetes brings replicas about itself, so its
driver has a plan of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..core.context import Context
from ..core.deadline import Deadline
from .agent_options import Limits
from .environment import Environment
from .releases import ReleaseStore

STARTED = "started"
STOPPED = "stopped"
RESTARTED = "restarted"
SCALED = "scaled"


@dataclass(frozen=True)
class Usage:
    """What one replica uses of its machine.

    Memory in bytes, summed over the replica's processes; `cpu_seconds` is their CPU time since
    the replica started `uptime_s` ago, None where the platform tells no such sum. A limit of
    None means that nothing limits it. `cpu_percent` is the average over the last `cpu_window_s`,
    where it was watched for that long: of `cpu_limit_cores` where something limits it to those,
    else of one core.
    """

    memory_bytes: int
    memory_limit_bytes: int | None
    cpu_seconds: float | None
    uptime_s: float
    cpu_percent: float | None = None
    cpu_window_s: float | None = None
    cpu_limit_cores: float | None = None


@dataclass(frozen=True)
class Replica:
    """One running copy of the agent, as it was seen.

    `status` is `running` (process alive), `ready` (answers its readiness endpoint), `stopped`,
    or `foreign` (another program holds its port). `up_to_date` is False when it runs another
    release, environment or option than the agent's current ones. `note` says in words what the
    status does not: why it is not ready, how it ended, who holds its port. `via` says how `url`
    was reached where there is more than one way (`pod address`, `API server`).
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
    via: str = ""

    @property
    def is_alive(self) -> bool:
        return self.status in ("running", "ready")


@dataclass(frozen=True)
class Intent:
    """What the operator asked for last: an agent stopped on purpose is not down.

    `replicas` is the count to run, also while stopped: what a start without a count brings back.
    `names` are the replicas that shall run, so that one of which no trace is left is missed; none
    where the platform names them. `platform` is the one that runs the agent, which no second one
    may claim.
    """

    state: str  # started | stopped
    replicas: int
    since: float
    names: list[str] = field(default_factory=list)
    platform: str = ""


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


@dataclass(frozen=True)
class Goal:
    """What an agent shall be.

    `specification` is None for a stopped one. `replace_all` restarts also what is as wanted;
    `canary` brings one replica onto the specification, and leaves the others for the next run.
    `intent_before` is what the last run asked for, None where there was none.
    """

    intent: Intent
    specification: Specification | None
    environment: Environment
    replace_all: bool = False
    canary: bool = False
    intent_before: Intent | None = None


@dataclass
class Report:
    """What carrying a plan out did, in sentences, and the fewest ready replicas seen meanwhile.

    `lowest_ready` is None when nothing that ran was replaced.
    """

    actions: list[str] = field(default_factory=list)
    lowest_ready: int | None = None


class Plan(Protocol):
    """The way from what there is to a goal, found out in full before anything is touched."""

    @property
    def seen(self) -> Sequence[Replica]:
        """The replicas that there are."""

    @property
    def changes(self) -> bool:
        """Whether it touches anything; waiting alone does not."""

    def foretold(self) -> list[str]:
        """What carrying it out would do, in sentences."""

    def shown(self, replicas: Sequence[Replica]) -> Mapping[str, Any]:
        """Replicas for a diff: what two runs with the same outcome show alike."""

    def expected(self) -> Mapping[str, Any]:
        """What `shown` will be once it is carried out."""

    def carry_out(
        self, limits: Limits, deadline: Deadline, context: Context, report: Report
    ) -> None:
        """Do it all, and wait until it holds; `report` tells what was done, also on a failure.

        Ends at the first failure, and leaves what serves alone. Raises `timeout`, `failed_state`
        with `log_tail` (and `events` where there are any), or what the platform refuses.
        """


class Driver(Protocol):
    """What every platform can do.

    Methods raise `OperationError`: `precondition` for what the platform or the machine refuses,
    `timeout` when a deadline passes, `failed_state` for what cannot recover.
    """

    @property
    def release_store(self) -> ReleaseStore:
        """The releases that there are, and which one is current."""

    def reading_once(self) -> AbstractContextManager[None]:
        """A block in which what was read may be taken for what is there; no waiting in it."""

    def environment(self) -> Environment:
        """The environment that replicas are started with; empty before the first one is set."""

    def set_environment(self, environment: Environment) -> None:
        """Keep this environment for replicas started from now on."""

    def names(self, count: int) -> list[str]:
        """The replicas that a count stands for, in order; none where the platform names them.

        The driver must know its serving options.
        """

    def observe(
        self, wanted: Sequence[str], specification: Specification | None, usage: bool = False
    ) -> list[Replica]:
        """Every replica there is and every wanted one, in order; changes nothing.

        `up_to_date` compares with the specification.
        """

    def plan(self, goal: Goal) -> Plan:
        """The way to a goal; raises `precondition` for what would stop it half way."""

    def log(self, replica: str, query: LogQuery) -> list[str]:
        """The newest lines of a replica's log, oldest first, redacted; memory is bounded."""

    def logged(self) -> list[str]:
        """The replicas that have a log, in order; some may run no more."""

    def preflight(self, count: int, disk_mb: int, source: Path | None) -> list[Check]:
        """Whether this platform could run that many replicas of the source; changes nothing."""


class ReplicaDriver(Driver, Protocol):
    """A driver that acts on single replicas, which are named as `names` gives them."""

    def require_startable(self, replicas: Sequence[str]) -> None:
        """Raise `precondition` when a replica could not be started here; touch no other."""

    def start(self, replica: str, specification: Specification) -> None:
        """Start a replica that does not run, and return once it is on record; not yet ready."""

    def stop(self, replicas: Sequence[str], grace_s: float, deadline: Deadline) -> list[Stop]:
        """Ask all of them to end at once, and end those by force that outlive the grace.

        Replicas that do not run are cleared away. Raises `timeout` when the deadline passes
        first; a replica is never killed before its grace has passed.
        """

    def log_since_start(self, replica: str, lines: int) -> list[str]:
        """Like `log`, but of what this driver started only what came after that start."""

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the replicas there are to the replicas there shall be: a plan, and the loop that acts.

The plan is a list of waves. In each, replicas stop, others start, and some must be ready before
the next wave begins; so what still serves is touched only after what is new has proved itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..core.context import Context
from ..core.deadline import Deadline, backoff, poll
from ..core.errors import OperationError, Reason
from .agent_options import Limits
from .protocol import Goal, Replica, ReplicaDriver, Report, Specification, Stop

LOG_TAIL_LINES = 20


@dataclass(frozen=True)
class Wave:
    """Names of replicas: `stop` first, then `start`, then wait until `ready` all are."""

    stop: tuple[str, ...] = ()
    start: tuple[str, ...] = ()
    ready: tuple[str, ...] = ()


def waves_to(
    wanted: Sequence[str], seen: Sequence[Replica], replace_all: bool = False
) -> list[Wave]:
    """The waves that lead from the replicas seen to the wanted ones.

    First everything missing starts at once, since that takes nothing away; up-to-date replicas
    that are not ready yet are waited for with it. Then outdated ones are replaced one at a
    time, those that do not serve anyway before the others. Last, surplus ones stop at once.
    """
    there = {replica.name: replica for replica in seen}
    alive = [there[name] for name in wanted if name in there and there[name].is_alive]
    replaced = [r for r in alive if replace_all or not r.up_to_date]
    missing = tuple(name for name in wanted if name not in {r.name for r in alive})
    unready = tuple(r.name for r in alive if r not in replaced and r.status != "ready")
    waves = []
    if missing or unready:
        waves.append(Wave(start=missing, ready=missing + unready))
    for replica in sorted(replaced, key=lambda r: r.status == "ready"):
        name = (replica.name,)
        waves.append(Wave(stop=name, start=name, ready=name))
    surplus = tuple(r.name for r in seen if r.name not in wanted and r.status != "foreign")
    if surplus:
        waves.append(Wave(stop=surplus))
    return waves


def changes(waves: Sequence[Wave]) -> bool:
    """Whether the waves touch anything; waiting alone does not."""
    return any(wave.stop or wave.start for wave in waves)


def foretell(waves: Sequence[Wave], seen: Sequence[Replica], release: str | None) -> list[str]:
    """What carrying the waves out would do, in sentences."""
    there = {replica.name: replica for replica in seen}
    sentences = []
    for wave in waves:
        for name in wave.stop:
            if name in wave.start:
                note = there[name].note
                why = f" ({note})" if note else ""
                sentences.append(f"Would replace {name} by one of release {release}{why}")
            elif there[name].is_alive:
                sentences.append(f"Would stop {name}")
            else:
                sentences.append(f"Would clear away what is left of {name}")
        started = [name for name in wave.start if name not in wave.stop]
        sentences += [f"Would start {name}, release {release}" for name in started]
    return sentences


def canary_of(waves: Sequence[Wave], seen: Sequence[Replica]) -> list[Wave]:
    """The wave that brings one replica onto what is wanted while the others serve on.

    None when there is one already, or nothing else that serves: then a canary proves nothing.
    """
    if any(replica.is_alive and replica.up_to_date for replica in seen):
        return []
    if sum(replica.is_alive for replica in seen) < 2:
        return []
    return [wave for wave in waves if wave.stop and wave.start][:1]


class ReplicaPlan:
    """The way to a goal by waves, on a platform that knows single replicas."""

    def __init__(self, driver: ReplicaDriver, goal: Goal) -> None:
        """Observe and decide; raises `precondition` for what would stop it half way."""
        self._driver = driver
        self._goal = goal
        self._wanted = goal.intent.names
        self.seen = driver.observe(self._wanted, goal.specification)
        waves = waves_to(self._wanted, self.seen, goal.replace_all)
        self.waves = canary_of(waves, self.seen) if goal.canary else waves
        if self.changes and self._wanted:
            # A replaced replica's port is its own still; only what starts anew must find one free.
            driver.require_startable([n for w in self.waves for n in w.start if n not in w.stop])

    @property
    def changes(self) -> bool:
        return changes(self.waves)

    def foretold(self) -> list[str]:
        return foretell(self.waves, self.seen, self._release)

    def shown(self, replicas: Sequence[Replica]) -> dict[str, str]:
        return {r.name: f"{r.status} {r.release}" for r in replicas if r.is_alive}

    def expected(self) -> dict[str, str]:
        if not self._goal.canary:
            return dict.fromkeys(self._wanted, f"ready {self._release}")
        touched = {name: f"ready {self._release}" for wave in self.waves for name in wave.ready}
        return {**self.shown(self.seen), **touched}

    def carry_out(
        self, limits: Limits, deadline: Deadline, context: Context, report: Report
    ) -> None:
        convergence = Convergence(
            self._driver,
            self._wanted,
            self._goal.specification,
            limits,
            deadline,
            context,
            report,
        )
        convergence.carry_out(self.waves)

    @property
    def _release(self) -> str | None:
        return self._goal.specification.release if self._goal.specification else None


class Convergence:
    """Carries a plan out. Ends at the first failure, and leaves what serves alone."""

    def __init__(
        self,
        driver: ReplicaDriver,
        wanted: Sequence[str],
        specification: Specification | None,
        limits: Limits,
        deadline: Deadline,
        context: Context,
        report: Report,
    ) -> None:
        self._driver = driver
        self._wanted = wanted
        self._specification = specification
        self._limits = limits
        self._deadline = deadline
        self._context = context
        self.report = report

    def carry_out(self, waves: Sequence[Wave]) -> None:
        """Do it all; `report` tells what was done, also after a failure.

        Raises `timeout`, `failed_state` or what the driver raises.
        """
        for number, wave in enumerate(waves):
            if self._deadline.expired:
                raise self._out_of_time(wave.ready or wave.stop, number, len(waves))
            self._carry_out_wave(wave)

    def _carry_out_wave(self, wave: Wave) -> None:
        if wave.stop:
            grace_s = self._limits.stop_grace_s
            stops = self._driver.stop(wave.stop, grace_s, self._deadline)
            self.report.actions += [_stop_told(stop, grace_s) for stop in stops]
        if wave.stop and wave.start:
            self._count_ready()
        if self._specification is None:
            return
        begun = self._context.clock.monotonic()
        for name in wave.start:
            self._driver.start(name, self._specification)
            self.report.actions.append(f"Started {name}, release {self._specification.release}")
        if wave.ready:
            self._wait_until_ready(wave.ready)
            elapsed = self._context.clock.monotonic() - begun
            verb = "was" if len(wave.ready) == 1 else "were"
            if wave.start:
                names = ", ".join(wave.ready)
                self.report.actions.append(f"{names} {verb} ready after {elapsed:.1f} s")

    def _count_ready(self) -> None:
        seen = self._driver.observe(self._wanted, self._specification)
        ready = sum(r.status == "ready" for r in seen if r.name in self._wanted)
        lowest = self.report.lowest_ready
        self.report.lowest_ready = ready if lowest is None else min(lowest, ready)

    def _wait_until_ready(self, names: Sequence[str]) -> None:
        """All of them ready, and still so `stable_s` later; one that has ended fails at once."""
        clock = self._context.clock
        ready_since: float | None = None
        last: list[Replica] = []

        def look() -> bool | None:
            nonlocal ready_since, last
            seen = self._driver.observe(self._wanted, self._specification)
            last = [replica for replica in seen if replica.name in names]
            for replica in last:
                if not replica.is_alive:
                    raise self._ended(replica)
            ready = sum(replica.status == "ready" for replica in last)
            self._context.progress.update(f"{', '.join(names)} ready", ready, len(names))
            if ready < len(names):
                ready_since = None
                return None
            if ready_since is None:
                ready_since = clock.monotonic()
            return clock.monotonic() - ready_since >= self._limits.stable_s or None

        if not poll(look, self._deadline, clock, backoff(longest=0.25)):
            raise self._never_ready([r for r in last if r.status != "ready"] or last)

    # --- failures -----------------------------------------------------------------------------

    def _ended(self, replica: Replica) -> OperationError:
        tail = self._driver.log_since_start(replica.name, LOG_TAIL_LINES)
        last_words = next((line.strip() for line in reversed(tail) if line.strip()), None)
        seen = replica.note or "it ended"
        if last_words:
            seen += f', and its last words were "{last_words[:200]}"'
        return OperationError(
            Reason.FAILED_STATE,
            f"start {replica.name}",
            seen,
            "Read log_tail in this result, correct the release or its environment, and start again",
            log_tail=tail,
        )

    def _never_ready(self, replicas: Sequence[Replica]) -> OperationError:
        first = replicas[0]
        states = ", ".join(f"{r.name}: {r.note or r.status}" for r in replicas)
        return OperationError(
            Reason.TIMEOUT,
            f"see {first.name} ready within {self._deadline.seconds:g} s",
            f"its last state was: {states}",
            "Read log_tail in this result; what keeps it unready is often its database",
            log_tail=self._driver.log_since_start(first.name, LOG_TAIL_LINES),
        )

    def _out_of_time(self, names: Sequence[str], done: int, total: int) -> OperationError:
        return OperationError(
            Reason.TIMEOUT,
            f"go on to {', '.join(names)} within {self._deadline.seconds:g} s",
            f"{done} of {total} steps were done by then",
            "Run this again, which goes on from here, or give a longer timeout_s",
        )


def _stop_told(stop: Stop, grace_s: float) -> str:
    if not stop.was_running:
        return f"Cleared away what was left of {stop.replica}"
    if stop.was_killed:
        return f"Stopped {stop.replica} by SIGKILL, as it outlived its grace of {grace_s:g} s"
    return f"Stopped {stop.replica} in {stop.seconds:.1f} s"

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The autoscaler of platforms without one: a stored policy, evaluated whenever it is asked."""

from __future__ import annotations

from typing import Any

from ...core.clock import Clock
from ...core.lock import Lease, require_free
from ..agent_info import observe_agent, with_cpu_window
from ..agent_options import Agent
from ..protocol import STOPPED, AgentState, Driver, Intent, Replica
from .autoscaler import BY_AGENT, Status
from .decision import ABLE_TO_SCALE, SCALING_ACTIVE, Condition, decide
from .formula import Sample, Standing, propose
from .policy import Policy
from .records import (
    read_memory,
    read_policy_record,
    remove_records,
    write_memory,
    write_policy_record,
)

# --horizontal-pod-autoscaler-cpu-initialization-period: what a replica that is not ready uses
# during its first 5 minutes is the work of its start. Later, it may be what keeps it unready.
INITIALISATION_S = 300.0


class StoredAutoscaler:
    """Measures and recommends. Whoever asks does the scaling, with the module `agent`."""

    def __init__(self, agent: Agent, driver: Driver, clock: Clock) -> None:
        self._agent = agent
        self._driver = driver
        self._clock = clock

    def policy(self) -> dict[str, Any] | None:
        policy = read_policy_record(self._agent.store, self._agent.name)
        return policy.as_dict() if policy else None

    def exclusive(self) -> Lease:
        """Each evaluation counts on what the last one remembered."""
        return Lease(self._agent.store, f"autoscaler/{self._agent.name}", "autoscale", self._clock)

    def require_changeable(self) -> None:
        """A stored policy is always ours."""

    def require_scalable(self) -> None:
        """CPU is measured against one core where nothing limits it."""

    def set_policy(self, policy: Policy) -> str:
        write_policy_record(self._agent.store, self._agent.name, policy)
        return f"Stored the policy of {self._agent.name}"

    def remove(self) -> str:
        remove_records(self._agent.store, self._agent.name)
        return f"Removed the policy of {self._agent.name}"

    def status(self, policy: Policy, window_s: float, remember: bool) -> Status:
        store, name = self._agent.store, self._agent.name
        require_free(store, name, "measure", self._clock)
        before = observe_agent(self._agent, self._driver)
        intent = before.intent
        if intent is None or intent.state == STOPPED:
            return _disabled(intent)
        self._clock.sleep(window_s)
        after = with_cpu_window(before, observe_agent(self._agent, self._driver))
        require_free(store, name, "measure", self._clock)
        if after.intent is None or after.intent.state == STOPPED:
            return _disabled(after.intent)
        return self._evaluated(policy, before, after, after.intent, remember)

    def _evaluated(
        self,
        policy: Policy,
        before: AgentState,
        after: AgentState,
        intent: Intent,
        remember: bool,
    ) -> Status:
        samples = samples_of(before, after)
        replicas = {each.replica: _percent(each) for each in samples}
        outdated = [r for r in after.replicas if r.is_alive and not r.up_to_date]
        if outdated:
            return _waiting(intent, outdated, replicas)
        now, name = self._clock.now(), self._agent.name
        memory = read_memory(self._agent.store, name).of_use(policy, now)
        memory = memory.with_count(intent.replicas, intent.since, now)
        proposal = propose(intent.replicas, samples, policy.cpu_percent)
        decision = decide(policy, intent.replicas, proposal, memory, now)
        if remember:
            write_memory(self._agent.store, name, decision.memory)
        return Status(
            scaled_by=BY_AGENT,
            current_replicas=intent.replicas,
            desired_replicas=decision.desired,
            recommended_replicas=decision.recommended,
            cpu_percent=decision.cpu_percent,
            conditions=decision.conditions,
            replicas=replicas,
        )


def samples_of(before: AgentState, after: AgentState) -> list[Sample]:
    """How each replica that shall run counts, from two observations, the later with CPU.

    A replica's CPU counts when it was ready at both; else the work of its start would.
    """
    wanted = after.intent.names if after.intent else []
    ready_before = {(r.name, r.pid) for r in before.replicas if r.status == "ready"}
    return [
        _sample(replica, replica.status == "ready" and (replica.name, replica.pid) in ready_before)
        for replica in after.replicas
        if replica.name in wanted or not wanted
    ]


def _sample(replica: Replica, was_ready: bool) -> Sample:
    usage = replica.usage
    requested = round(1000 * ((usage.cpu_limit_cores if usage else None) or 1))
    if not replica.is_alive:
        return Sample(replica.name, Standing.UNREADY, requested)
    if usage is None or usage.cpu_percent is None:
        return Sample(replica.name, Standing.MISSING, requested)
    used = round(usage.cpu_percent * requested / 100)
    is_counted = was_ready or usage.uptime_s > INITIALISATION_S
    return Sample(
        replica.name, Standing.MEASURED if is_counted else Standing.UNREADY, requested, used
    )


def _percent(sample: Sample) -> int | None:
    if sample.standing is not Standing.MEASURED:
        return None
    return 100 * sample.used // sample.requested


def _disabled(intent: Intent | None) -> Status:
    """An agent that does not run by intent is left alone."""
    seen = "it is stopped on purpose" if intent else "it was never started"
    condition = Condition(SCALING_ACTIVE, False, "ScalingDisabled", seen)
    return Status(BY_AGENT, 0, 0, conditions=(condition,))


def _waiting(intent: Intent, outdated: list[Replica], replicas: dict[str, int | None]) -> Status:
    """Scaling now would roll the rest out, which a canary or a failed deploy keeps back."""
    names = ", ".join(replica.name for replica in outdated)
    verb = "is" if len(outdated) == 1 else "are"
    message = f"{names} {verb} not up to date, and a scaling would replace what waits for a deploy"
    condition = Condition(ABLE_TO_SCALE, False, "RolloutUnfinished", message)
    count = intent.replicas
    return Status(BY_AGENT, count, count, conditions=(condition,), replicas=replicas)

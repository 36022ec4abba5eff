# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""health_info: look, judge, keep what was seen, and fail only when asked to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..core.context import Context
from ..core.deadline import Deadline, backoff, poll
from ..core.errors import OperationError, Reason
from ..core.operation import Operation, Params
from ..core.result import Result
from ..core.textfile import write_textfile
from ..platforms import access_through_server
from . import report
from .arguments import health_options
from .assessment import (
    AgentAssessment,
    DependencyAssessment,
    assess_agent,
    assess_replica,
)
from .conversation import Conversation, DependencyConversation, ReplicaConversation
from .history import HealthHistory, record
from .indicators import Indicator, measured
from .plan import Plan, let_through, read_plan
from .sweep import sweep
from .textfile import render
from .usage import UsageReading
from .verdict import Finding, Verdict, worst

if TYPE_CHECKING:
    from .direct_probes import DirectProbes
    from .round_trips import DirectProbe

_HEAD_START_S = 0.1
# A soak is there to see what comes late: no need to load the agent with probes meanwhile.
_SOAK_PAUSE_S = 2.0
_ACCEPTED = {
    Verdict.HEALTHY: (Verdict.HEALTHY,),
    Verdict.DEGRADED: (Verdict.HEALTHY, Verdict.DEGRADED),
}


class Observer:
    """Takes whole looks at the agent and remembers the last one."""

    def __init__(self, plan: Plan, usage_before: dict[str, UsageReading], context: Context) -> None:
        self._plan = plan
        self._context = context
        self._usage_before = usage_before
        self._usage_taken_at = context.clock.now()
        self.replicas: list[ReplicaConversation] = []
        self.last: AgentAssessment | None = None

    def look(self) -> AgentAssessment:
        """Probe everything once, with all samples."""
        plan, clock = self._plan, self._context.clock
        self.replicas = [
            ReplicaConversation(
                target.name,
                target.url,
                plan.basic_path,
                plan.detailed_path,
                plan.samples,
                plan.interval_s,
            )
            for target in plan.targets
        ]
        for target, replica in zip(plan.targets, self.replicas):
            if target.not_running:
                replica.is_not_running(target.not_running)
        dependencies = [
            DependencyConversation(
                each.name, each.url, each.is_tcp, each.critical, plan.samples, plan.interval_s
            )
            for each in plan.dependencies
        ]
        probes = self._start_direct_probes()
        conversations: list[Conversation] = [*self.replicas, *dependencies]
        if conversations:
            sweep(conversations, plan.transport, plan.pauses_s, clock)
        self.last = self._assess(dependencies, probes.finish() if probes else [])
        return self.last

    def _start_direct_probes(self) -> DirectProbes | None:
        """Begin to ask the database and the cache themselves, where they are given."""
        plan = self._plan
        if plan.database is None and plan.cache is None:
            return None
        # Most runs ask neither, and an import costs a run that an operator waits for.
        from .direct_probes import DirectProbes

        probes = DirectProbes(plan.database, plan.cache)
        timeout_s = plan.transport.timeout_s
        clock = self._context.clock
        probes.start(plan.samples, plan.interval_s, timeout_s, clock, _HEAD_START_S)
        return probes

    def _assess(
        self, dependencies: list[DependencyConversation], probes: list[DirectProbe]
    ) -> AgentAssessment:
        plan = self._plan
        direct = {probe.kind: self._direct(probe) for probe in probes}
        replicas = []
        for target, seen in zip(plan.targets, self.replicas):
            usage = UsageReading.of(target.usage, self._usage_taken_at) if target.usage else None
            before = self._usage_before.get(target.name)
            replicas.append(assess_replica(seen, usage, before, direct, plan.thresholds))
        further = [
            DependencyAssessment(
                seen.name, each.address, each.critical, _dependency(seen), tuple(seen.latencies_ms)
            )
            for each, seen in zip(plan.dependencies, dependencies)
        ]
        return assess_agent(replicas, further, direct, plan.thresholds)

    def _direct(self, probe: DirectProbe) -> Indicator:
        limit = self._plan.thresholds.of(probe.kind)
        finding = probe.finding
        if finding is None or finding.verdict is Verdict.HEALTHY:
            return measured(probe.kind, probe.latencies_ms, limit, "direct")
        return Indicator(
            probe.kind,
            limit,
            tuple(probe.latencies_ms),
            finding.verdict,
            finding.said,
            finding.reason,
            finding.next_step,
            "direct",
        )


def _dependency(seen: DependencyConversation) -> Finding:
    """The worst of its samples; one that answered some of them is degraded, not down."""
    if not seen.findings:
        return Finding(Verdict.UNKNOWN, "was not asked in time", "Raise timeout_s", Reason.TIMEOUT)
    verdict = worst(finding.verdict for finding in seen.findings)
    finding = next(each for each in seen.findings if each.verdict is verdict)
    if verdict is Verdict.DOWN and seen.latencies_ms:
        return Finding(Verdict.DEGRADED, finding.said, finding.next_step, finding.reason)
    return finding


def health_info(params: Params, context: Context) -> Result:
    """Probe, judge and report; with `require`, fail on a worse verdict than that.

    The failure's reason is `failed_state` for a known fault, `unreachable` for unknown, and
    `timeout` after waiting `wait_s` for it to get better; state and tables come with it. What is
    met must hold for `soak_s`.
    """
    plan = read_plan(params)
    urls = [target.url for target in plan.targets if not target.not_running]
    with access_through_server(params["kubernetes"], urls) as access:
        if access is not None:
            plan = replace(plan, transport=let_through(plan.transport, access))
        return _look_and_keep(plan, context)


def _look_and_keep(plan: Plan, context: Context) -> Result:
    history = None
    before: dict[str, UsageReading] = {}
    if plan.state_store:
        from ..repository import open_state_store

        history = HealthHistory(
            open_state_store(plan.state_store), plan.agent, plan.history_keep_days
        )
        if any(target.usage for target in plan.targets):
            before = history.usage_before(context.clock.now())
    observer = Observer(plan, before, context)
    agent = _look_until_met(plan, observer, context)
    held_s = None
    if plan.soak_s and _is_met(plan, agent):
        agent, held_s = _look_while_met(plan, observer, context)
    if not context.check_mode:
        _keep(plan, agent, observer, history, context)
    result = Result(
        state=report.state(agent, plan.samples),
        summary=report.summary(agent),
        tables=report.tables(agent),
        stats={"cost_agent_health": {plan.agent: report.verdict(agent)}},
    )
    if not _is_met(plan, agent):
        raise _unmet(plan, agent, held_s, result)
    return result


def _look_until_met(plan: Plan, observer: Observer, context: Context) -> AgentAssessment:
    def look() -> AgentAssessment | None:
        agent = observer.look()
        context.progress.update(f"{plan.agent} is {agent.verdict.value}")
        return agent if _is_met(plan, agent) else None

    deadline = Deadline(context.clock, plan.wait_s)
    agent = poll(look, deadline, context.clock, backoff(0.1, 1.5, 2.0))
    return agent or observer.last or observer.look()


def _look_while_met(
    plan: Plan, observer: Observer, context: Context
) -> tuple[AgentAssessment, float]:
    """Look on until the soak is over or the requirement is not met; the look, and how far it was.

    A replica that is down ends it. What is merely slow, or not seen, must be so in two looks one
    after the other: a single slow answer is no reason to take a release back.
    """
    soak = Deadline(context.clock, plan.soak_s)
    doubted = False

    def look() -> AgentAssessment | None:
        nonlocal doubted
        agent = observer.look()
        context.progress.update(
            f"{plan.agent} is {agent.verdict.value}: seconds", round(soak.elapsed), plan.soak_s
        )
        is_certain = doubted or any(each.verdict is Verdict.DOWN for each in agent.replicas)
        doubted = not _is_met(plan, agent)
        return agent if doubted and is_certain else None

    pauses = backoff(_SOAK_PAUSE_S, 1.0, _SOAK_PAUSE_S)
    agent = poll(look, soak, context.clock, pauses)
    if agent is None and doubted:
        context.clock.sleep(_SOAK_PAUSE_S)
    if agent is None:
        agent = observer.look() if doubted else observer.last or observer.look()
    return agent, soak.elapsed


def _is_met(plan: Plan, agent: AgentAssessment) -> bool:
    return plan.require is None or agent.verdict in _ACCEPTED[plan.require]


def _keep(
    plan: Plan,
    agent: AgentAssessment,
    observer: Observer,
    history: HealthHistory | None,
    context: Context,
) -> None:
    now = context.clock.now()
    if history is not None:
        history.append(record(agent, observer.replicas, now), now)
    if plan.textfile:
        write_textfile(plan.textfile, render(plan.agent, agent, now))


def _unmet(
    plan: Plan, agent: AgentAssessment, held_s: float | None, result: Result
) -> OperationError:
    """The failure; `held_s` is how long the requirement was met, None when it never was."""
    reason = Reason.FAILED_STATE if agent.verdict.is_bad else Reason.UNREACHABLE
    waited, seen = "", f"it is {agent.verdict.value}"
    if held_s is not None:
        waited, seen = f" for {plan.soak_s:g} s", f"after {held_s:.0f} s {seen}"
    elif plan.wait_s:
        reason, waited = Reason.TIMEOUT, f" within {plan.wait_s:g} s"
    grounds = result.state["reasons"]
    if grounds:
        seen += f": {grounds[0].rstrip('.')}"
    wanted = plan.require.value if plan.require else ""
    tables = [{"columns": table.columns, "rows": table.rows} for table in result.tables]
    return OperationError(
        reason,
        f"find {plan.agent} {wanted}{waited}",
        seen,
        "See state.reasons, and the logs by agent_logs_info",
        state=result.state,
        summary=result.summary,
        tables=tables,
    )


HEALTH_INFO = Operation("health_info", health_options(), health_info)

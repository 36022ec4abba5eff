# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what was seen to verdicts: per replica, per indicator, for the agent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ..core.errors import Reason
from .conversation import ReplicaConversation
from .indicators import API, CPU, INDICATORS, MEMORY, Indicator, Thresholds, measured
from .report_body import CACHE, DATABASE
from .usage import UsageReading, cpu, memory
from .verdict import Finding, Verdict, combine, worst

_DETAILED = "detailed endpoint"
_ITSELF = "it"


@dataclass(frozen=True)
class Remark:
    """A finding that is not healthy, and what it is about: an indicator, a component, itself."""

    subject: str
    finding: Finding


@dataclass(frozen=True)
class ReplicaAssessment:
    """One replica's verdict with its grounds."""

    name: str
    url: str
    verdict: Verdict
    indicators: dict[str, Indicator]
    remarks: tuple[Remark, ...]
    asked: int
    answered: int
    connect_ms: float | None
    release: str | None
    detailed_is_absent: bool
    cpu_basis: str | None
    usage: UsageReading | None


@dataclass(frozen=True)
class DependencyAssessment:
    """A further dependency's finding and its latencies in ms."""

    name: str
    address: str
    critical: bool
    finding: Finding
    latencies_ms: tuple[float, ...]


@dataclass(frozen=True)
class AgentAssessment:
    """Everything that one look at the agent found; `direct` by indicator."""

    verdict: Verdict
    indicators: dict[str, Indicator]
    replicas: tuple[ReplicaAssessment, ...]
    dependencies: tuple[DependencyAssessment, ...]
    direct: dict[str, Indicator]


def assess_replica(
    seen: ReplicaConversation,
    usage: UsageReading | None,
    usage_before: UsageReading | None,
    direct: dict[str, Indicator],
    thresholds: Thresholds,
) -> ReplicaAssessment:
    """Judge one replica.

    A database that is down takes the replica down with it; its cache and whatever else it
    depends on only degrade it. `direct` stands in for what the replica does not tell.
    """
    cpu_indicator, basis = cpu(usage, usage_before, thresholds)
    indicators = {
        API: _api(seen, thresholds),
        DATABASE: _component(DATABASE, seen, direct, thresholds),
        CACHE: _component(CACHE, seen, direct, thresholds),
        MEMORY: memory(usage, thresholds),
        CPU: cpu_indicator,
    }
    remarks = _remarks(seen, indicators)
    verdicts = [each.verdict for each in indicators.values() if each.verdict is not None]
    verdicts += [remark.finding.verdict for remark in remarks]
    vital = {indicators[API].verdict, indicators[DATABASE].verdict}
    vital |= {remark.finding.verdict for remark in remarks if remark.subject == _ITSELF}
    if Verdict.DOWN in vital:
        verdict = Verdict.DOWN
    elif any(each.is_bad for each in verdicts):
        verdict = Verdict.DEGRADED
    else:
        verdict = worst(verdicts)
    return ReplicaAssessment(
        name=seen.name,
        url=seen.url,
        verdict=verdict,
        indicators=indicators,
        remarks=tuple(remarks),
        asked=seen.asked,
        answered=seen.answered,
        connect_ms=seen.connect_ms,
        release=seen.release,
        detailed_is_absent=seen.detailed_is_absent,
        cpu_basis=basis,
        usage=usage,
    )


def assess_agent(
    replicas: Sequence[ReplicaAssessment],
    dependencies: Sequence[DependencyAssessment],
    direct: dict[str, Indicator],
    thresholds: Thresholds,
) -> AgentAssessment:
    """Judge the agent as a whole.

    Replicas stand in for each other. A critical dependency counts like the agent itself; another
    one, and a direct probe next to the agent's own view, count only when they are known to be
    bad. With no replica given, whatever was probed is the whole.
    """
    if replicas:
        base = combine(replica.verdict for replica in replicas)
        beside = [each.verdict for each in direct.values()]
        beside += [each.finding.verdict for each in dependencies if not each.critical]
        extras = [Verdict.DEGRADED for verdict in beside if verdict and verdict.is_bad]
    else:
        probed = [each.verdict for each in direct.values() if each.verdict]
        base = combine([*probed, *(each.finding.verdict for each in dependencies)])
        extras = []
    critical = [each.finding.verdict for each in dependencies if each.critical]
    if Verdict.DOWN in (base, *critical):
        verdict = Verdict.DOWN
    elif any(each.is_bad for each in (base, *critical, *extras)):
        verdict = Verdict.DEGRADED
    else:
        verdict = worst([base, *critical])
    return AgentAssessment(
        verdict=verdict,
        indicators={name: _overall(name, replicas, direct, thresholds) for name in INDICATORS},
        replicas=tuple(replicas),
        dependencies=tuple(dependencies),
        direct=direct,
    )


def _api(seen: ReplicaConversation, thresholds: Thresholds) -> Indicator:
    limit = thresholds.api_ms
    failure = _worst_of(seen.failures)
    if not seen.answered:
        if failure is None:
            failure = Finding(
                Verdict.UNKNOWN,
                "has no answer yet, and the time for all targets is over",
                "Raise timeout_s, or give fewer targets at once",
                Reason.TIMEOUT,
            )
        return _from_finding(API, limit, failure)
    indicator = measured(API, seen.latencies_ms, limit, "agent")
    if failure is not None and failure.verdict.is_bad:
        said = f"{failure.said} ({len(seen.failures)} of {seen.asked} samples)"
        degraded = replace(failure, verdict=Verdict.DEGRADED, said=said)
        return _from_finding(API, limit, degraded, seen.latencies_ms)
    return indicator


def _component(
    kind: str,
    seen: ReplicaConversation,
    direct: dict[str, Indicator],
    thresholds: Thresholds,
) -> Indicator:
    """The agent's own view of its database or cache, or the direct probe's."""
    limit = thresholds.of(kind)
    parts = [each for each in seen.components.values() if each.latest.kind == kind]
    if parts:
        latencies = [value for part in parts for value in part.latencies_ms]
        stated = worst(
            [verdict for part in parts for verdict in part.verdicts] or [Verdict.HEALTHY]
        )
        if stated is not Verdict.HEALTHY:
            part = next(each for each in parts if stated in each.verdicts)
            return _from_finding(kind, limit, part.finding(stated), latencies)
        indicator = measured(kind, latencies, limit, "agent")
        return indicator if latencies else replace(indicator, said="its report has no latency")
    if kind in direct:
        return direct[kind]
    if not seen.answered:
        return _from_finding(kind, limit, Finding(Verdict.UNKNOWN, "could not be seen"))
    failure = _worst_of(seen.detailed_failures)
    if failure is not None:
        said = f"could not be seen: the detailed endpoint {failure.said}"
        return _from_finding(kind, limit, replace(failure, verdict=Verdict.UNKNOWN, said=said))
    missing = "there is no detailed endpoint (404)"
    if not seen.detailed_is_absent:
        missing = "the detailed endpoint does not tell"
    return Indicator(kind, limit, said=f"{missing}, and option {kind} is not given")


def _remarks(seen: ReplicaConversation, indicators: dict[str, Indicator]) -> list[Remark]:
    remarks = [
        Remark(name, Finding(each.verdict, each.said, each.next_step, each.reason))
        for name, each in indicators.items()
        if each.verdict is not None
        and each.verdict is not Verdict.HEALTHY
        # Without an answer, all that follows from it could not be seen either: said once.
        and (seen.answered or name == API or each.verdict.is_bad)
    ]
    for samples in seen.components.values():
        if samples.latest.kind is None and any(each.is_bad for each in samples.verdicts):
            finding = samples.finding(worst(samples.verdicts))
            remarks.append(Remark(samples.latest.name, finding))
    failure = _worst_of(seen.detailed_failures)
    if seen.answered and failure is not None and failure.verdict.is_bad:
        remarks.append(Remark(_DETAILED, replace(failure, verdict=Verdict.DEGRADED)))
    statement = _worst_of(seen.statements)
    if statement is not None and not _is_explained(statement, remarks, indicators):
        remarks.append(Remark(_ITSELF, statement))
    return remarks


def _is_explained(
    statement: Finding, remarks: list[Remark], indicators: dict[str, Indicator]
) -> bool:
    """Whether what the agent says of itself only repeats what is known of its parts."""
    if statement.verdict is Verdict.DOWN:
        return indicators[DATABASE].verdict is Verdict.DOWN
    return bool(remarks)


def _overall(
    name: str,
    replicas: Sequence[ReplicaAssessment],
    direct: dict[str, Indicator],
    thresholds: Thresholds,
) -> Indicator:
    """An indicator over all replicas: every sample counts, a direct probe's once."""
    members = [replica.indicators[name] for replica in replicas]
    if not members and name in direct:
        members = [direct[name]]
    limit = thresholds.of(name)
    if not members:
        return Indicator(name, limit, said="nothing was given to measure it on")
    probed = next((each for each in members if each.source == "direct"), None)
    values = [value for each in members if each.source != "direct" for value in each.values]
    values += probed.values if probed else ()
    verdicts = [each.verdict for each in members if each.verdict is not None]
    source = probed.source if probed else members[0].source
    if not verdicts:
        return replace(members[0], values=tuple(values))
    verdict = combine(verdicts)
    told = next((each for each in members if each.verdict is worst(verdicts)), members[0])
    return replace(told, values=tuple(values), verdict=verdict, source=source)


def _from_finding(
    name: str, limit: float, finding: Finding, values: Sequence[float] = ()
) -> Indicator:
    return Indicator(
        name,
        limit,
        tuple(values),
        finding.verdict,
        finding.said,
        finding.reason,
        finding.next_step,
    )


def _worst_of(findings: Iterable[Finding]) -> Finding | None:
    findings = list(findings)
    if not findings:
        return None
    verdict = worst(finding.verdict for finding in findings)
    return next(finding for finding in findings if finding.verdict is verdict)

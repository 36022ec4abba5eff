# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An assessment as a result tells it: state, reasons in words, tables, one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.result import Table
from .assessment import AgentAssessment, DependencyAssessment, ReplicaAssessment
from .indicators import INDICATORS, Indicator, percentile, show
from .verdict import Finding, Verdict

NOT_MEASURED = "not measured"
_MOST_REASONS = 10
_MOST_NAMES = 3
_MOST_ROWS = 10
_ORDER = {Verdict.DOWN: 0, Verdict.DEGRADED: 1, Verdict.UNKNOWN: 2, Verdict.HEALTHY: 3}


def state(agent: AgentAssessment, samples: int) -> dict[str, Any]:
    """`verdict`, `reasons`, `notes`, `indicators`, `replicas`, `dependencies`, `direct`.

    A replica's `indicators` leave out what was not measured and what is the same for all.
    `sampled` is how many samples got an answer, of all replicas.
    """
    return {
        "verdict": agent.verdict.value,
        "reasons": reasons(agent),
        "notes": notes(agent),
        "indicators": {name: agent.indicators[name].as_dict() for name in INDICATORS},
        "replicas": [_replica(each) for each in agent.replicas],
        "dependencies": [_dependency(each) for each in agent.dependencies],
        "direct": {name: each.as_dict() for name, each in agent.direct.items()},
        "samples": samples,
        "sampled": sum(each.answered for each in agent.replicas),
    }


def verdict(agent: AgentAssessment) -> dict[str, Any]:
    """What a job keeps of it."""
    return {"verdict": agent.verdict.value, "reasons": reasons(agent)}


def reasons(agent: AgentAssessment) -> list[str]:
    """Why the verdict is not healthy, worst first; replicas with the same trouble in one line."""
    groups: dict[tuple[str, Finding], list[str]] = {}
    for replica in agent.replicas:
        for remark in replica.remarks:
            groups.setdefault((remark.subject, remark.finding), []).append(replica.name)
    ordered = sorted(groups.items(), key=lambda item: (_ORDER[item[0][1].verdict], -len(item[1])))
    total = len(agent.replicas)
    lines = [
        _sentence(_names(names, total), f"{subject} {finding.said}", finding)
        for (subject, finding), names in ordered
    ]
    lines += [
        _sentence(f"dependency {each.name}", each.finding.said, each.finding)
        for each in agent.dependencies
        if each.finding.verdict is not Verdict.HEALTHY
    ]
    lines += [
        _sentence(f"{name} probed directly", each.said, each)
        for name, each in agent.direct.items()
        if each.verdict is not Verdict.HEALTHY
    ]
    more = len(lines) - _MOST_REASONS
    return lines if more <= 0 else [*lines[:_MOST_REASONS], f"and {more} more reasons"]


def notes(agent: AgentAssessment) -> list[str]:
    """What a reader should know of how it was measured."""
    lines = []
    absent = [each.name for each in agent.replicas if each.detailed_is_absent]
    if absent:
        probed = " and ".join(agent.direct) or "nothing"
        lines.append(
            f"{_names(absent, len(agent.replicas))}: no detailed endpoint (404); "
            f"probed directly instead: {probed}"
        )
    if agent.replicas:
        for name, each in agent.indicators.items():
            if each.verdict is None:
                lines.append(f"{name} {NOT_MEASURED}: {each.said}")
    return lines


def summary(agent: AgentAssessment) -> str:
    """One line for a person, without the verdict."""
    total = len(agent.replicas)
    if not total:
        probed = len(agent.direct) + len(agent.dependencies)
        return f"{probed} server{'s' if probed > 1 else ''} probed"
    counts = dict.fromkeys(Verdict, 0)
    for replica in agent.replicas:
        counts[replica.verdict] += 1
    parts = [f"{counts[v]} {v.value}" for v in _ORDER if counts[v] and v is not Verdict.HEALTHY]
    parts.append(f"{counts[Verdict.HEALTHY]} of {total} healthy")
    return ", ".join(reversed(parts))


def tables(agent: AgentAssessment) -> list[Table]:
    """The five indicators; the replicas too when they are not all alike; the dependencies."""
    result = []
    if agent.replicas or agent.direct:
        rows = [_row(agent.indicators[name]) for name in INDICATORS]
        result.append(Table(["indicator", "limit", "p50", "p95", "verdict"], rows))
    odd = [each for each in agent.replicas if each.verdict is not Verdict.HEALTHY]
    if odd and len(agent.replicas) > 1:
        result.append(Table(["replica", "verdict", "reason"], _odd_rows(odd)))
    if agent.dependencies:
        rows = [_dependency_row(each) for each in agent.dependencies]
        result.append(Table(["dependency", "p50", "p95", "verdict"], rows))
    return result


def _odd_rows(odd: Sequence[ReplicaAssessment]) -> list[list[str]]:
    ordered = sorted(odd, key=lambda each: _ORDER[each.verdict])
    rows = [[each.name, each.verdict.value, _first_reason(each)] for each in ordered[:_MOST_ROWS]]
    more = len(odd) - _MOST_ROWS
    return rows if more <= 0 else [*rows, [f"and {more} more", "", ""]]


def _first_reason(replica: ReplicaAssessment) -> str:
    if not replica.remarks:
        return ""
    first = min(replica.remarks, key=lambda remark: _ORDER[remark.finding.verdict])
    return f"{first.subject} {first.finding.said}"


def _row(indicator: Indicator) -> list[str]:
    name = indicator.name
    return [
        name,
        show(indicator.limit, name),
        show(indicator.p50, name),
        show(indicator.p95, name),
        indicator.verdict.value if indicator.verdict else NOT_MEASURED,
    ]


def _dependency_row(each: DependencyAssessment) -> list[str]:
    p50, p95 = (percentile(each.latencies_ms, p) for p in (50, 95))
    return [each.name, show(p50, "api"), show(p95, "api"), each.finding.verdict.value]


def _sentence(who: str, said: str, finding: Any) -> str:
    next_step = f". {finding.next_step}." if finding.next_step else "."
    return f"{who}: {said}{next_step}"


def _names(names: Sequence[str], total: int) -> str:
    shown = ", ".join(names[:_MOST_NAMES])
    more = len(names) - _MOST_NAMES
    if more > 0:
        shown += f" and {more} more"
    return shown if total == 1 else f"{shown} ({len(names)} of {total} replicas)"


def _replica(each: ReplicaAssessment) -> dict[str, Any]:
    remarks = sorted(each.remarks, key=lambda remark: _ORDER[remark.finding.verdict])
    values: dict[str, Any] = {
        "name": each.name,
        "url": each.url,
        "verdict": each.verdict.value,
        "reasons": [
            _sentence(remark.subject, remark.finding.said, remark.finding) for remark in remarks
        ],
        "reason": next((r.finding.reason.value for r in remarks if r.finding.reason), None),
        "indicators": {
            name: indicator.figures()
            for name, indicator in each.indicators.items()
            if indicator.verdict is not None
        },
        "samples": {"asked": each.asked, "answered": each.answered},
        "connect_ms": None if each.connect_ms is None else round(each.connect_ms, 3),
        "release": each.release,
    }
    if each.cpu_basis:
        values["indicators"]["cpu"]["basis"] = each.cpu_basis
    return values


def _dependency(each: DependencyAssessment) -> dict[str, Any]:
    p50, p95 = (percentile(each.latencies_ms, p) for p in (50, 95))
    return {
        "name": each.name,
        "address": each.address,
        "critical": each.critical,
        "verdict": each.finding.verdict.value,
        "said": each.finding.said,
        "reason": each.finding.reason.value if each.finding.reason else None,
        "p50": None if p50 is None else round(p50, 3),
        "p95": None if p95 is None else round(p95, 3),
        "unit": "ms",
    }

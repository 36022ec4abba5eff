# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The assessment as a Prometheus textfile."""

from __future__ import annotations

from collections.abc import Iterator

from ..core.textfile import head, sample
from .assessment import AgentAssessment
from .indicators import INDICATORS, unit_of
from .verdict import Verdict

_PREFIX = "cost_agent_health_"
_QUANTILES = (("0.5", "p50"), ("0.95", "p95"))


def render(agent_name: str, agent: AgentAssessment, now: float) -> str:
    """Metrics in Prometheus's text format, in its base units: seconds and ratios."""
    return "\n".join(_lines(agent_name, agent, now)) + "\n"


def _lines(agent_name: str, agent: AgentAssessment, now: float) -> Iterator[str]:
    yield _head("verdict", "1 for the verdict on the agent, 0 for the others.")
    for verdict in Verdict:
        yield _sample(
            "verdict", int(agent.verdict is verdict), agent=agent_name, verdict=verdict.value
        )
    yield _head("replicas", "Replicas by verdict.")
    for verdict in Verdict:
        count = sum(each.verdict is verdict for each in agent.replicas)
        yield _sample("replicas", count, agent=agent_name, verdict=verdict.value)
    yield from _indicators(agent_name, agent, "ms", "latency_seconds", 0.001)
    yield from _indicators(agent_name, agent, "%", "usage_ratio", 0.01)
    if agent.dependencies:
        yield _head("dependency_verdict", "1 for the verdict on a dependency.")
        for each in agent.dependencies:
            labels = {"agent": agent_name, "dependency": each.name}
            verdict_name = each.finding.verdict.value
            yield _sample("dependency_verdict", 1, **labels, verdict=verdict_name)
    yield _head("last_run_timestamp_seconds", "When this was measured.")
    yield _sample("last_run_timestamp_seconds", round(now, 3), agent=agent_name)


def _indicators(
    agent_name: str, agent: AgentAssessment, unit: str, metric: str, factor: float
) -> Iterator[str]:
    names = [name for name in INDICATORS if unit_of(name) == unit]
    yield _head(metric, "Quantiles over the samples of all replicas, per indicator.")
    for name in names:
        for quantile, which in _QUANTILES:
            value = getattr(agent.indicators[name], which)
            if value is not None:
                labels = {"agent": agent_name, "indicator": name}
                yield _sample(metric, value * factor, **labels, quantile=quantile)


def _head(metric: str, text: str) -> str:
    return head(_PREFIX + metric, text)


def _sample(metric: str, value: float, **labels: str) -> str:
    return sample(_PREFIX + metric, value, **labels)

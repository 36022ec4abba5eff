# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The assessment as a Prometheus textfile, for node_exporter's textfile collector.

Written here and not with prometheus_client: see docs/decisions/0010.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..core.errors import OperationError, Reason
from ..core.state_store import write_atomically
from .assessment import AgentAssessment
from .indicators import INDICATORS, unit_of
from .verdict import Verdict

_MODE = 0o644  # node_exporter reads it as another user
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_QUANTILES = (("0.5", "p50"), ("0.95", "p95"))


def write_textfile(path: str, text: str) -> None:
    """Replace the file at once, readable by everybody; `precondition` when it cannot be."""
    try:
        write_atomically(Path(path), text.encode(), _MODE)
    except OSError as error:
        raise OperationError(
            Reason.PRECONDITION,
            "write the Prometheus textfile",
            f"{path}: {error.strerror}",
            "Give a path in a folder that this user can write",
        ) from error


def render(agent_name: str, agent: AgentAssessment, now: float) -> str:
    """Metrics in Prometheus's text format, in its base units: seconds and ratios."""
    return "\n".join(_lines(agent_name, agent, now)) + "\n"


def _lines(agent_name: str, agent: AgentAssessment, now: float) -> Iterator[str]:
    yield from _head("verdict", "1 for the verdict on the agent, 0 for the others.")
    for verdict in Verdict:
        yield _sample(
            "verdict", int(agent.verdict is verdict), agent=agent_name, verdict=verdict.value
        )
    yield from _head("replicas", "Replicas by verdict.")
    for verdict in Verdict:
        count = sum(each.verdict is verdict for each in agent.replicas)
        yield _sample("replicas", count, agent=agent_name, verdict=verdict.value)
    yield from _indicators(agent_name, agent, "ms", "latency_seconds", 0.001)
    yield from _indicators(agent_name, agent, "%", "usage_ratio", 0.01)
    if agent.dependencies:
        yield from _head("dependency_verdict", "1 for the verdict on a dependency.")
        for each in agent.dependencies:
            labels = {"agent": agent_name, "dependency": each.name}
            verdict_name = each.finding.verdict.value
            yield _sample("dependency_verdict", 1, **labels, verdict=verdict_name)
    yield from _head("last_run_timestamp_seconds", "When this was measured.")
    yield _sample("last_run_timestamp_seconds", round(now, 3), agent=agent_name)


def _indicators(
    agent_name: str, agent: AgentAssessment, unit: str, metric: str, factor: float
) -> Iterator[str]:
    names = [name for name in INDICATORS if unit_of(name) == unit]
    yield from _head(metric, "Quantiles over the samples of all replicas, per indicator.")
    for name in names:
        for quantile, which in _QUANTILES:
            value = getattr(agent.indicators[name], which)
            if value is not None:
                labels = {"agent": agent_name, "indicator": name}
                yield _sample(metric, value * factor, **labels, quantile=quantile)


def _head(metric: str, text: str) -> Iterator[str]:
    yield f"# HELP cost_agent_health_{metric} {text}"
    yield f"# TYPE cost_agent_health_{metric} gauge"


def _sample(metric: str, value: float, **labels: str) -> str:
    shown = ",".join(f'{name}="{text.translate(_ESCAPES)}"' for name, text in labels.items())
    return f"cost_agent_health_{metric}{{{shown}}} {value:.12g}"

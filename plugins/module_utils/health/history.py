# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Samples kept for later runs, below `history/health/<agent>` in the state store."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from ..core.history import History
from ..core.state_store import StateStore
from .assessment import AgentAssessment, ReplicaAssessment
from .conversation import ReplicaConversation
from .usage import WINDOW_S, UsageReading


def record(
    agent: AgentAssessment, conversations: list[ReplicaConversation], now: float
) -> dict[str, Any]:
    """What the history keeps of one look: verdict, figures, every sample, usage readings."""
    return {
        "time": datetime.fromtimestamp(now, timezone.utc).isoformat(timespec="milliseconds"),
        "verdict": agent.verdict.value,
        "indicators": {name: each.figures() for name, each in agent.indicators.items()},
        "replicas": [_replica(each, seen) for each, seen in zip(agent.replicas, conversations)],
        "dependencies": {each.name: each.finding.verdict.value for each in agent.dependencies},
        "direct": {name: _rounded(each.values) for name, each in agent.direct.items()},
    }


def _replica(each: ReplicaAssessment, seen: ReplicaConversation) -> dict[str, Any]:
    kept: dict[str, Any] = {
        "name": each.name,
        "verdict": each.verdict.value,
        "api_ms": _rounded(seen.latencies_ms),
    }
    for name, samples in seen.components.items():
        if samples.latencies_ms:
            kept.setdefault("components_ms", {})[name] = _rounded(samples.latencies_ms)
    if each.usage is not None:
        kept["usage"] = vars(each.usage)
    return kept


def _rounded(values: Any) -> list[float]:
    return [round(value, 3) for value in values]


class HealthHistory(History):
    """The health samples of one agent in a state store."""

    def __init__(self, store: StateStore, agent: str, keep_days: int) -> None:
        super().__init__(store, f"history/health/{agent}", keep_days)

    def usage_before(self, now: float) -> dict[str, UsageReading]:
        """By replica, the youngest usage reading that a CPU average may start from."""
        found: dict[str, UsageReading] = {}
        for entry in self.newest_first(now, WINDOW_S[1], from_s=WINDOW_S[0]):
            for replica in _replicas(entry):
                reading = _reading(replica.get("usage"))
                if reading is not None:
                    found.setdefault(str(replica.get("name")), reading)
            if found:
                break
        return found


def _replicas(entry: dict[str, Any]) -> list[dict[str, Any]]:
    replicas = entry.get("replicas")
    if not isinstance(replicas, list):
        return []  # not a record of ours
    return [each for each in replicas if isinstance(each, dict)]


def _reading(usage: Any) -> UsageReading | None:
    try:
        return UsageReading(**usage)
    except TypeError:
        return None

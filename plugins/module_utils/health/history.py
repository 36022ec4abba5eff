# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Samples kept for later runs: `history/health/<agent>/<date>/<time>-<id>.json`.

Dates and times are UTC. Days older than the retention go when the first sample of a new day is
written.
"""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta, timezone
from typing import Any

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


class History:
    """The health samples of one agent in a state store."""

    def __init__(self, store: StateStore, agent: str, keep_days: int) -> None:
        self._store = store
        self._prefix = f"history/health/{agent}"
        self._keep_days = keep_days

    def append(self, entry: dict[str, Any], now: float) -> None:
        """Write one record; on a day's first, drop the days beyond the retention."""
        moment = datetime.fromtimestamp(now, timezone.utc)
        day = f"{self._prefix}/{moment:%Y-%m-%d}"
        is_first_today = not self._store.list(day)
        key = f"{day}/{moment:%H%M%S}.{moment.microsecond // 1000:03d}-{os.urandom(4).hex()}.json"
        self._store.write(key, json.dumps(entry, separators=(",", ":")).encode())
        if is_first_today:
            self._prune(moment)

    def _prune(self, moment: datetime) -> None:
        oldest = f"{moment - timedelta(days=self._keep_days):%Y-%m-%d}"
        for key in self._store.list(self._prefix):
            if key[len(self._prefix) + 1 :].partition("/")[0] < oldest:
                self._store.delete(key)

    def usage_before(self, now: float) -> dict[str, UsageReading]:
        """By replica, the youngest usage reading that a CPU average may start from."""
        days = {
            f"{datetime.fromtimestamp(then, timezone.utc):%Y-%m-%d}"
            for then in (now, now - WINDOW_S[1])
        }
        keys = [key for day in days for key in self._store.list(f"{self._prefix}/{day}")]
        found: dict[str, UsageReading] = {}
        for key in sorted(keys, reverse=True):
            age_s = now - _time_of(key)
            if age_s > WINDOW_S[1]:
                break
            if age_s < WINDOW_S[0]:
                continue
            entry = self._store.read(key)
            for replica in _replicas(entry.data if entry else b""):
                reading = _reading(replica.get("usage"))
                if reading is not None:
                    found.setdefault(str(replica.get("name")), reading)
            if found:
                break
        return found


def _time_of(key: str) -> float:
    """Seconds since the epoch in a key's date and time; 0 for a file of someone else's."""
    day, _slash, name = key.rpartition("/")
    try:
        moment = datetime.strptime(
            f"{day.rpartition('/')[2]} {name.partition('-')[0]}", "%Y-%m-%d %H%M%S.%f"
        )
    except ValueError:
        return 0.0
    return moment.replace(tzinfo=timezone.utc).timestamp()


def _replicas(data: bytes) -> list[dict[str, Any]]:
    try:
        replicas = json.loads(data)["replicas"]
    except (ValueError, KeyError, TypeError):
        return []  # not a record of ours
    return [each for each in replicas if isinstance(each, dict)]


def _reading(usage: Any) -> UsageReading | None:
    try:
        return UsageReading(**usage)
    except TypeError:
        return None

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The limits that checks compare with, each with its source."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from ..core.errors import invalid_option
from ..core.operation import Params


@dataclass(frozen=True)
class Thresholds:
    """Limits of the checks; one that is passed is a warning, or worse where a check says so.

    Sources: the operations guide (latency_ms); Redis's own MEMORY DOCTOR (fragmentation_ratio,
    fragmentation_mb); awesome-prometheus-alerts (memory_percent, clients_percent, snapshot_age_h,
    rejected_connections); Amazon's advice on CacheHitRate (hit_percent). That a cache evicts, that
    commands are slow and that a replica lags is warned of from the first time.
    """

    memory_percent: float = 90.0
    fragmentation_ratio: float = 1.4
    fragmentation_mb: float = 10.0
    evictions: float = 0.0
    hit_percent: float = 80.0
    rejected_connections: float = 0.0
    clients_percent: float = 90.0
    snapshot_age_h: float = 24.0
    replication_lag_s: float = 10.0
    slow_commands: float = 0.0
    latency_ms: float = 10.0


def thresholds_argument() -> dict[str, Any]:
    """The option `thresholds`."""
    options = {each.name: {"type": "float", "default": each.default} for each in fields(Thresholds)}
    return {"type": "dict", "apply_defaults": True, "options": options}


def read_thresholds(option: Params) -> Thresholds:
    """The thresholds in the option; `invalid_input` for one below 0 or that is no number."""
    for name, value in option.items():
        if not 0 <= value < float("inf"):
            raise invalid_option(
                f"thresholds.{name}", f"{value} is no limit", "Give a number from 0 up"
            )
    return Thresholds(**option)

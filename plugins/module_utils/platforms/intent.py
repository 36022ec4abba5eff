# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operator asked for last, kept in the state store under `intent/<name>`."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

from ..core.errors import OperationError, Reason
from ..core.state_store import StateStore
from .protocol import STARTED, STOPPED, Intent

# The guide's Kubernetes deployment starts three (Service Management, Starting the Service).
DEFAULT_REPLICAS = 3


def read_intent(store: StateStore, name: str) -> Intent | None:
    """The intent, or None when there was none yet or its record cannot be read."""
    entry = store.read(f"intent/{name}")
    try:
        return Intent(**json.loads(entry.data)) if entry else None
    except (ValueError, TypeError):
        return None


def write_intent(store: StateStore, name: str, intent: Intent) -> None:
    """Remember the intent."""
    store.write(f"intent/{name}", json.dumps(asdict(intent)).encode())


def next_intent(
    state: str, replicas: int | None, before: Intent | None, platform: str, now: float
) -> Intent:
    """The intent behind a request; `since` moves only when something changes.

    Without a count the remembered one holds, else the guide's 3. Raises `precondition` when
    another platform runs the agent.
    """
    if before and before.state == STARTED and before.platform not in ("", platform):
        raise OperationError(
            Reason.PRECONDITION,
            f"run the agent on platform {platform}",
            f"platform {before.platform} runs it by the same name and state store",
            f"Stop it there first, with platform {before.platform}, or give this one another name",
        )
    count = replicas or (before.replicas if before else DEFAULT_REPLICAS)
    wanted = Intent(STOPPED if state == STOPPED else STARTED, count, now, platform=platform)
    if before and (before.state, before.replicas) == (wanted.state, wanted.replicas):
        return replace(before, platform=platform)
    return wanted

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many replicas there may be."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.clock import SystemClock
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.state_store import (
    FileStateStore,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.agent_options import (
    Agent,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.autoscaling.policy import (
    Policy,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.autoscaling.records import (
    write_policy_record,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.ceiling import (
    replica_ceiling,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.intent import (
    write_intent,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.protocol import Intent


@pytest.mark.parametrize(
    ("intent", "policy", "asked", "expected"),
    [
        (None, None, None, 3),  # the guide's
        (5, None, None, 5),
        (5, None, 2, 2),
        (5, 10, None, 10),
        (5, 10, 8, 10),
        (5, 10, 12, 12),  # which the agent's module refuses; the budget sees it too
    ],
)
def test_an_autoscaler_or_a_count_is_the_ceiling(
    tmp_path: Path, intent: int | None, policy: int | None, asked: int | None, expected: int
) -> None:
    store = FileStateStore(tmp_path)
    agent = Agent("process", "cost-agent", tmp_path, store)
    if intent is not None:
        write_intent(store, "cost-agent", Intent("started", intent, 0.0))
    if policy is not None:
        write_policy_record(store, "cost-agent", Policy(max=policy))
    found = replica_ceiling(agent, SystemClock(), asked)
    assert found.replicas == expected
    assert found.source

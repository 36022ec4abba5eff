# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an operator asked for last, and what a request without a count means."""

from __future__ import annotations

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.state_store import (
    FileStateStore,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.intent import (
    next_intent,
    read_intent,
    write_intent,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.protocol import (
    Intent,
)

FIVE = Intent("started", 5, 1.0, platform="process")


@pytest.mark.parametrize(
    ("state", "replicas", "before", "wanted"),
    [
        ("started", None, None, ("started", 3)),
        ("started", 2, None, ("started", 2)),
        ("started", None, FIVE, ("started", 5)),
        ("started", None, Intent("stopped", 4, 1.0), ("started", 4)),
        ("restarted", None, Intent("stopped", 4, 1.0), ("started", 4)),
        ("stopped", None, FIVE, ("stopped", 5)),
        ("stopped", None, None, ("stopped", 3)),
        ("stopped", 2, FIVE, ("stopped", 2)),
    ],
)
def test_what_a_request_means(state, replicas, before, wanted):
    intent = next_intent(state, replicas, before, "process", now=9.0)
    assert (intent.state, intent.replicas, intent.since) == (
        *wanted,
        1.0 if intent == before else 9,
    )


def test_since_stays_while_nothing_changes():
    assert next_intent("started", 5, FIVE, "process", now=9.0) == FIVE


def test_what_one_platform_runs_another_may_not_claim():
    with pytest.raises(OperationError) as refused:
        next_intent("started", 5, FIVE, "docker", now=9.0)
    assert refused.value.reason is Reason.PRECONDITION
    assert "platform process runs it" in str(refused.value)


def test_what_one_platform_stopped_another_may_start():
    stopped = Intent("stopped", 5, 1.0, platform="process")
    assert next_intent("started", None, stopped, "docker", now=9.0).platform == "docker"


def test_the_intent_is_remembered(tmp_path):
    store = FileStateStore(tmp_path)
    assert read_intent(store, "cost-agent") is None
    write_intent(store, "cost-agent", FIVE)
    assert read_intent(store, "cost-agent") == FIVE


@pytest.mark.parametrize("data", [b"", b"{half", b"[]", b'{"state": "started"}'])
def test_an_unreadable_intent_is_none(tmp_path, data):
    store = FileStateStore(tmp_path)
    store.write("intent/cost-agent", data)
    assert read_intent(store, "cost-agent") is None

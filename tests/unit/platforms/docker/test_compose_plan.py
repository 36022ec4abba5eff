# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the containers of a compose service to the wanted ones, and the file that is laid over."""

from __future__ import annotations

import json

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.agent_options import (
    Serving,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.docker.compose_plan import (
    ComposePlan,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.docker.compose_program import (
    Overlay,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.environment import (
    Environment,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.protocol import (
    STARTED,
    STOPPED,
    Goal,
    Intent,
    Replica,
    Specification,
)

OLD, NEW = "cost-agent:1.4.1", "cost-agent:1.4.2"


class Seen:
    """A driver that only sees."""

    def __init__(self, replicas):
        self._replicas = replicas

    def observe(self, wanted, specification, usage=False):
        return self._replicas


def replica(number, release=NEW, status="ready"):
    return Replica(f"shop-{number}", "", status, release, up_to_date=release == NEW)


def plan(replicas, count, state=STARTED, **goal):
    specification = Specification(NEW, "sha256:02", "e", {}) if state == STARTED else None
    intent = Intent(state, count, 0.0)
    return ComposePlan(Seen(replicas), Goal(intent, specification, Environment(), **goal))


def test_what_is_as_wanted_is_left_alone():
    found = plan([replica(1), replica(2)], 2)
    assert not found.changes
    assert found.expected() == found.shown(found.seen) == {f"ready {NEW}": 2}


def test_missing_ones_are_started_and_outdated_ones_replaced_those_that_serve_last():
    found = plan([replica(1, OLD), replica(2, OLD, "running")], 3)
    assert found.foretold() == [
        f"Would start 1 of release {NEW}",
        f"Would replace shop-2 by one of release {NEW}",
        f"Would replace shop-1 by one of release {NEW}",
    ]
    assert found.expected() == {f"ready {NEW}": 3}


def test_of_too_many_the_outdated_go_first():
    found = plan([replica(1, OLD), replica(2), replica(3)], 2)
    assert found.foretold() == ["Would stop shop-1"]
    assert found.expected() == {f"ready {NEW}": 2}


def test_a_stop_takes_all():
    found = plan([replica(1), replica(2)], 2, STOPPED)
    assert found.foretold() == ["Would stop shop-1", "Would stop shop-2"]
    assert found.expected() == {}


def test_a_canary_is_one_and_only_where_others_serve_on():
    found = plan([replica(1, OLD), replica(2, OLD)], 3, canary=True)
    assert len(found.foretold()) == 1
    assert found.expected() == {f"ready {OLD}": 1, f"ready {NEW}": 1}
    assert not plan([replica(1, OLD), replica(2)], 2, canary=True).changes
    assert not plan([replica(1, OLD)], 1, canary=True).changes


def test_a_restart_replaces_what_is_as_wanted_too():
    assert len(plan([replica(1), replica(2)], 2, replace_all=True).foretold()) == 2


@pytest.mark.parametrize("limit", [None, 100])
def test_the_overlay_names_variables_and_holds_no_value(limit):
    serving = Serving("0.0.0.0", 8001, "src.main:app", 1, "/ready", limit, 0.5)
    overlay = Overlay(NEW, {"API_TOKEN": "s3cr3t-words"}, {"price": "$5"})
    text = overlay.as_json("cost-agent", serving)
    assert "s3cr3t-words" not in text
    service = json.loads(text)["services"]["cost-agent"]
    assert service["environment"] == {"API_TOKEN": None}
    assert service["labels"] == {"price": "$$5"}
    assert service["cpus"] == 0.5
    assert service.get("mem_limit") == (None if limit is None else limit * 1024 * 1024)

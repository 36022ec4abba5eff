# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose sessions they are, and the most that everybody else had."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.state_store import (
    FileStateStore,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.budget import Others
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.peaks import DAYS, Peaks
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.sessions import (
    Identity,
    SessionGroup,
    highest,
    others_in,
    session_table,
)

AGENT = Identity("cost-agent", "agent", "costs")
DAY_S = 86400.0
NOW = 20_000 * DAY_S


def group(application: str, role: str = "agent", database: str = "costs", count: int = 1):  # type: ignore[no-untyped-def]
    return SessionGroup(application, role, database, "idle", count, 5.0)


@pytest.mark.parametrize(
    ("application", "is_agent"),
    [
        ("cost-agent", True),
        ("cost-agent 1.4.2", True),
        ("cost-agent-backup", False),
        ("optiinfra-cost-agent", False),
        ("", False),
    ],
)
def test_the_agent_is_known_by_its_name(application: str, is_agent: bool) -> None:
    assert AGENT.is_agent(group(application)) == is_agent


def test_behind_a_pooler_a_connection_that_served_none_yet_is_the_agents() -> None:
    pooled = Identity("cost-agent", "agent", "costs", is_pooled=True)
    assert pooled.is_agent(group(""))
    assert not pooled.is_agent(group("", database="shop"))
    assert not pooled.is_agent(group("psql"))


def test_others_are_counted_for_server_role_and_database() -> None:
    groups = [
        group("cost-agent 1", count=40),
        group("psql", count=2),
        group("report", role="report", count=3),
        group("shop", role="shop", database="shop", count=5),
    ]
    assert others_in(groups, AGENT) == Others(server=10, role=2, database=5)


def test_the_peak_is_the_most_of_each() -> None:
    looks = [Others(10, 1, 2), Others(3, 4, 1)]
    assert highest(looks, "x") == Others(10, 4, 2, "x")


def test_the_table_merges_databases_and_puts_the_most_first() -> None:
    groups = [group("psql"), group("psql", database="shop", count=4), group("", role="shop")]
    assert session_table(groups).rows == [
        ["psql", "idle", "5", "5 s"],
        ["(shop)", "idle", "1", "5 s"],
    ]


def test_what_was_seen_on_other_days_counts_for_a_week(tmp_path: Path) -> None:
    peaks = Peaks(FileStateStore(tmp_path), "cost-agent")
    assert peaks.with_past(Others(50, 5, 6), NOW) == Others(50, 5, 6, "most today")
    peaks.with_past(Others(20, 9, 1), NOW + DAY_S)
    later = NOW + 2 * DAY_S
    assert peaks.with_past(Others(1, 1, 1), later, keep=False) == Others(50, 9, 6, "peak of 2 days")
    much_later = NOW + (DAYS + 1) * DAY_S
    assert peaks.with_past(Others(1, 1, 1, "now"), much_later, keep=False).seen == "now"


def test_a_day_only_grows_and_is_written_only_then(tmp_path: Path) -> None:
    store = FileStateStore(tmp_path)
    peaks = Peaks(store, "cost-agent")
    versions = []
    for number, most in ((5, 5), (9, 9), (3, 9)):
        assert peaks.with_past(Others(number, 0, 0), NOW).server == most
        versions.append(store.read("connections/cost-agent").version)
    assert versions[0] != versions[1] == versions[2]


def test_old_days_go(tmp_path: Path) -> None:
    store = FileStateStore(tmp_path)
    peaks = Peaks(store, "cost-agent")
    for day in range(DAYS + 5):
        peaks.with_past(Others(1), NOW + day * DAY_S)
    assert store.list("connections") == ["connections/cost-agent"]
    assert len(json.loads(store.read("connections/cost-agent").data)) == DAYS


def test_what_is_only_looked_at_is_not_kept(tmp_path: Path) -> None:
    store = FileStateStore(tmp_path)
    assert (
        Peaks(store, "cost-agent").with_past(Others(5, seen="now"), NOW, keep=False).seen == "now"
    )
    assert store.list("connections") == []


@pytest.mark.parametrize("damage", [b"{", b"[]", b'{"2026-01-01": 5}', b'{"2026-01-01": {}}'])
def test_a_damaged_record_is_passed_over_and_replaced(tmp_path: Path, damage: bytes) -> None:
    store = FileStateStore(tmp_path)
    store.write("connections/cost-agent", damage)
    peaks = Peaks(store, "cost-agent")
    assert peaks.with_past(Others(1, seen="now"), NOW, keep=False).server == 1
    assert peaks.with_past(Others(2), NOW).server == 2
    assert peaks.with_past(Others(1), NOW).server == 2

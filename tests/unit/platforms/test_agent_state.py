# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a replica runs, compared; and the agent's state in words."""

from __future__ import annotations

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.agent_state import (
    duration_text,
    replica_table,
    summary,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.protocol import (
    AgentState,
    Intent,
    Replica,
    Specification,
    Usage,
)

OPTIONS = {"workers": 1, "app": "src.main:app"}
RUNS = Specification("1.4.1", "d1", "e1", OPTIONS)
STARTED = Intent("started", 2, 0.0)


@pytest.mark.parametrize(
    ("wanted", "differences"),
    [
        (RUNS, []),
        (Specification("1.4.1", "d1", "e1", None), []),
        (Specification("1.4.2", "d2", "e1", OPTIONS), ["release 1.4.1, not 1.4.2"]),
        (Specification("1.4.1", "d2", "e1", OPTIONS), ["an earlier build of release 1.4.1"]),
        (Specification("1.4.1", "d1", "e2", OPTIONS), ["another environment"]),
        (Specification("1.4.1", "d1", "e1", {**OPTIONS, "workers": 2}), ["workers 1, not 2"]),
        (Specification("1.4.1", "d1", "e1", {**OPTIONS, "new": 1}), ["new None, not 1"]),
    ],
)
def test_differences_in_words(wanted, differences):
    assert RUNS.differences(wanted) == differences


def replica(name, status="ready", release="1.4.2", **more):
    return Replica(name, f"http://{name}", status, release=release, **more)


@pytest.mark.parametrize(
    ("release", "intent", "replicas", "text"),
    [
        (None, None, [], "not installed"),
        ("1.4.2", None, [], "never started, release 1.4.2"),
        ("1.4.2", STARTED, [replica("a"), replica("b")], "2 of 2 ready, release 1.4.2"),
        ("1.4.2", STARTED, [replica("a"), replica("b", "stopped")], "1 of 2 ready, release 1.4.2"),
        ("1.4.2", STARTED, [], "0 of 2 ready, release 1.4.2"),
        (
            "1.4.2",
            STARTED,
            [replica("a"), replica("b", "running", "1.4.1")],
            "1 of 2 ready, releases 1.4.1, 1.4.2",
        ),
        (
            "1.4.2",
            Intent("stopped", 4, 0.0),
            [],
            "stopped on purpose, 4 remembered, release 1.4.2",
        ),
        ("1.4.2", Intent("stopped", 4, 0.0), [replica("a")], "1 of 1 ready, release 1.4.2"),
    ],
)
def test_one_line_for_a_person(release, intent, replicas, text):
    assert summary(AgentState("process", "cost-agent", release, intent, replicas)) == text


def test_one_row_for_each_replica():
    usage = Usage(52_428_800, 104_857_600, 3.14159, 4000)
    table = replica_table(
        [replica("a", pid=7, usage=usage), replica("b", "stopped", None, note="x")]
    )
    assert table.rows == [
        ["a", "ready", "1.4.2", "7", "1 h 6 min", "50 MB, 50 %", ""],
        ["b", "stopped", "-", "-", "-", "-", "x"],
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (3600, "1 h 0 min"), (180_000, "2 d 2 h")],
)
def test_durations(seconds, text):
    assert duration_text(seconds) == text

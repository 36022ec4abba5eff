# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How what was seen of a replica counts for the autoscaler."""

from __future__ import annotations

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.autoscaling.formula import (
    Sample,
    Standing,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.autoscaling.stored_autoscaler import (  # noqa: E501
    samples_of,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.protocol import (
    AgentState,
    Intent,
    Replica,
    Usage,
)


def replica(status: str = "ready", pid: int | None = 7, usage: Usage | None = None) -> Replica:
    return Replica("cost-agent-1", "http://127.0.0.1:8001", status, pid=pid, usage=usage)


def used(percent: float | None, uptime_s: float = 60.0, cores: float | None = None) -> Usage:
    return Usage(1, None, 1.0, uptime_s, cpu_percent=percent, cpu_limit_cores=cores)


def seen(*replicas: Replica) -> AgentState:
    intent = Intent("started", 1, 0.0, ["cost-agent-1"])
    return AgentState("process", "cost-agent", "1", intent, list(replicas))


@pytest.mark.parametrize(
    ("before", "after", "standing", "requested", "amount"),
    [
        (replica(), replica(usage=used(50.0)), "measured", 1000, 500),
        (replica(), replica(usage=used(50.0, cores=0.5)), "measured", 500, 250),
        (replica(), replica(usage=used(350.0, cores=4)), "measured", 4000, 14000),
        # What it used to start is no load.
        (replica("running"), replica(usage=used(99.0)), "unready", 1000, 990),
        (replica(pid=6), replica(usage=used(99.0)), "unready", 1000, 990),
        (replica(), replica("running", usage=used(99.0)), "unready", 1000, 990),
        # Long after its start, what keeps it unready may be the load.
        (replica("running"), replica("running", usage=used(99.0, 301)), "measured", 1000, 990),
        (replica(), replica(usage=used(None)), "missing", 1000, 0),
        (replica(), replica(), "missing", 1000, 0),
        (replica(), replica("stopped", pid=None), "unready", 1000, 0),
        (replica(), replica("foreign", pid=None), "unready", 1000, 0),
    ],
)
def test_how_a_replica_counts(before, after, standing, requested, amount):
    sample = Sample("cost-agent-1", Standing(standing), requested, amount)
    assert samples_of(seen(before), seen(after)) == [sample]


def test_a_replica_that_shall_not_run_does_not_count():
    surplus = Replica("cost-agent-9", "http://127.0.0.1:8009", "ready", pid=9, usage=used(99.0))
    assert [each.replica for each in samples_of(seen(), seen(replica(), surplus))] == [
        "cost-agent-1"
    ]

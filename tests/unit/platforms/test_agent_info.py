# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watching replicas for a while, which is only worth it where their CPU time is summed up."""

from __future__ import annotations

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.context import Context
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms import agent_info
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.protocol import (
    AgentState,
    Replica,
    Usage,
)


@pytest.fixture
def look(monkeypatch, fake_clock):
    """Runs agent_info on replicas with this usage; returns the one it tells and the seconds."""

    def run(usage, window_s=2.0):
        def observe(_agent, _driver):
            replica = Replica("a", "http://a:8001", "ready", pid=1, usage=usage(fake_clock))
            return AgentState("kubernetes", "cost-agent", "1.4.1", None, [replica])

        monkeypatch.setattr(agent_info, "read_agent", lambda params: None)
        monkeypatch.setattr(agent_info, "open_driver", lambda *given: None)
        monkeypatch.setattr(agent_info, "observe_agent", observe)
        params = {"cpu_window_s": window_s, "address": None}
        result = agent_info.run(params, Context(clock=fake_clock))
        return result.state["replicas"][0]["usage"], fake_clock.monotonic()

    return run


def summed_up(clock):
    """Half a core since the start."""
    return Usage(1, None, cpu_seconds=clock.now() / 2, uptime_s=clock.now())


def averaged(_clock):
    return Usage(1, None, cpu_seconds=None, uptime_s=60.0, cpu_percent=30.0, cpu_window_s=15.0)


def test_a_sum_of_cpu_time_is_watched_for_the_window(look):
    usage, seconds = look(summed_up)
    assert (usage["cpu_percent"], usage["cpu_window_s"], seconds) == (50.0, 2.0, 2.0)


def test_an_average_that_the_platform_gives_is_not_waited_for(look):
    usage, seconds = look(averaged)
    assert (usage["cpu_percent"], usage["cpu_window_s"], seconds) == (30.0, 15.0, 0.0)


def test_nothing_is_waited_for_without_any_usage(look):
    assert look(lambda _clock: None) == (None, 0.0)

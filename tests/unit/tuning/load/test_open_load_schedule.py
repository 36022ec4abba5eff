# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests keep to their schedule whatever the agent does, and the load stays bounded."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.progress import (
    Progress,
    silent,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.health import (
    Exchange,
    Transport,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.load.plan import LoadPlan
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.load.schedule import (
    MOST_AT_A_TIME,
    LoadSeen,
    OpenLoad,
)

QUICK_S = 0.002
TICK_S = 0.0001  # what a look without a wait costs


class Agent:
    """A sender on which time passes only while it is waited on.

    `answer` gives, for the time at which a request arrives, the seconds until its answer (None for
    never) and the answer's status.
    """

    def __init__(self, clock: Any, answer: Callable[[float], tuple[float | None, int]]) -> None:
        self.clock, self.answer = clock, answer
        self.pending: list[Any] = []
        self.sent: list[tuple[float, str]] = []
        self.most_at_a_time = 0
        self.looks = 0

    def send(self, token: Any, request: Any, timeout_s: float) -> None:
        now = self.clock.monotonic()
        takes_s, status = self.answer(now)
        if takes_s is None or takes_s > timeout_s:
            exchange, takes_s = Exchange(code=28), timeout_s
        else:
            exchange = Exchange(code=0, http_status=status, body=b"4")
        if isinstance(token, int):
            self.sent.append((now, request.url))
        else:
            self.looks += 1
        heapq.heappush(self.pending, (now + takes_s, len(self.sent) + self.looks, token, exchange))
        under_way = sum(isinstance(each[2], int) for each in self.pending)
        self.most_at_a_time = max(self.most_at_a_time, under_way)

    def receive(self, wait_ms: int) -> tuple[int, list[Any]]:
        now = self.clock.monotonic()
        wait_s = max(wait_ms / 1000, TICK_S)
        due = self.pending[0][0] if self.pending else now + wait_s
        self.clock.sleep(max(0.0, min(due - now, wait_s)))
        ended = []
        while self.pending and self.pending[0][0] <= self.clock.monotonic() + 1e-9:
            _due, _number, token, exchange = heapq.heappop(self.pending)
            ended.append((token, exchange))
        return len(ended), ended


@pytest.fixture
def loaded(fake_clock):
    """Runs a load on an agent that answers as told; what was seen, and the agent."""

    def run(answer, urls=("http://a",), **changes: Any) -> tuple[LoadSeen, Agent]:
        given: dict[str, Any] = {
            "agent": "cost-agent",
            "urls": urls,
            "path": "/x",
            "detailed_path": "/detailed",
            "rate": 50.0,
            "duration_s": 10.0,
            "warm_up_s": 0.0,
            "abort_at_failed_percent": 50.0,
            "transport": Transport(timeout_s=2.0),
            **changes,
        }
        agent = Agent(fake_clock, answer)
        progress = Progress(silent, fake_clock)
        load = OpenLoad(LoadPlan(**given), agent, MOST_AT_A_TIME, fake_clock, progress, int)
        return load.run(), agent

    return run


def quick(_now: float) -> tuple[float | None, int]:
    return QUICK_S, 200


def stalls(begin_s: float, end_s: float) -> Callable[[float], tuple[float | None, int]]:
    """Quick, but for a stall in which every answer waits for its end."""
    return lambda now: ((end_s - now if begin_s <= now < end_s else 0) + QUICK_S, 200)


def latencies(seen: LoadSeen) -> list[float]:
    return sorted(each.latency_ms for each in seen.outcomes if each.latency_ms is not None)


def failures(seen: LoadSeen) -> list[str]:
    return [each.failure for each in seen.outcomes if each.latency_ms is None]


def test_every_request_is_sent_when_it_is_due(loaded):
    seen, agent = loaded(quick)
    assert [at for at, _url in agent.sent] == pytest.approx([n / 50 for n in range(500)], abs=0.001)
    assert latencies(seen) == pytest.approx([QUICK_S * 1000] * 500, abs=0.5)
    assert failures(seen) == []
    assert seen.cut_short == ""


def test_replicas_take_turns(loaded):
    _seen, agent = loaded(quick, urls=("http://a", "http://b", "http://c"), duration_s=0.12)
    addresses = [url for _at, url in agent.sent]
    assert addresses == ["http://a/x", "http://b/x", "http://c/x"] * 2


def test_a_stall_counts_for_every_request_that_it_hits(loaded):
    """A client that waits for its answer sends one request into this stall, and has a p99 of 2 ms."""
    seen, agent = loaded(stalls(4.0, 5.0))
    assert len(agent.sent) == 500
    late = [latency for latency in latencies(seen) if latency > 10]
    assert len(late) == pytest.approx(50, abs=1)
    assert late[-1] == pytest.approx(1000, abs=5)
    assert late[len(late) // 2] == pytest.approx(500, abs=25)


def test_what_waits_for_a_place_is_late_from_when_it_was_due(loaded):
    """1000 a second, each taking 0.25 s, need 250 places."""
    seen, agent = loaded(lambda now: (0.25, 200), rate=1000.0, duration_s=2.0)
    assert agent.most_at_a_time == MOST_AT_A_TIME
    assert len(latencies(seen)) == 2000
    # The last of ten rounds of 200 ends at 0.2 + 10 x 0.25 s, and was due at 2 s.
    assert latencies(seen)[-1] == pytest.approx(700, rel=0.01)


def test_an_agent_that_hangs_is_left_alone(loaded):
    seen, agent = loaded(lambda now: (None, 0), rate=1000.0, duration_s=60.0)
    assert len(agent.sent) <= 2 * MOST_AT_A_TIME
    assert "no answer within 2 s" in seen.cut_short
    assert set(failures(seen)) <= {"no answer within 2 s", "not sent within 2 s, 200 waited"}
    assert seen.ended_s < 5


def test_too_many_failures_in_the_middle_end_the_load(loaded):
    seen, agent = loaded(lambda now: (QUICK_S, 500 if now >= 5 else 200))
    assert seen.cut_short.startswith("25 of the last 50 requests failed after 5.5 s: HTTP 500")
    assert len(agent.sent) == len(seen.outcomes) == pytest.approx(275, abs=1)


def test_fewer_failures_than_that_do_not(loaded):
    third = iter(range(10**6))
    seen, _agent = loaded(lambda now: (QUICK_S, 200 if next(third) % 3 else 503))
    assert seen.cut_short == ""
    assert len(seen.outcomes) == 500
    assert set(failures(seen)) == {"HTTP 503"}


def test_nothing_is_judged_on_a_few_requests(loaded):
    seen, _agent = loaded(lambda now: (QUICK_S, 200 if now > 0.17 else 503))
    assert seen.cut_short == ""
    assert len(failures(seen)) == 9


def test_the_load_waits_for_answers_that_are_under_way(loaded):
    seen, _agent = loaded(lambda now: (1.5, 200), duration_s=1.0)
    assert len(latencies(seen)) == 50
    assert seen.ended_s == pytest.approx(0.98 + 1.5, abs=0.01)


def test_the_pool_is_looked_at_meanwhile_and_is_no_part_of_the_load(loaded):
    seen, agent = loaded(quick)
    assert seen.most_connections_in_use == 4
    assert agent.looks == pytest.approx(40, abs=1)
    assert len(seen.outcomes) == 500


def test_our_own_delay_is_told(loaded, fake_clock):
    class Slow(Agent):
        def receive(self, wait_ms: int) -> tuple[int, list[Any]]:
            if 1.0 <= self.clock.monotonic() < 1.1:
                self.clock.sleep(0.3)
            return super().receive(wait_ms)

    plan = LoadPlan(
        "a", ("http://a",), "/x", "/d", 50.0, 3.0, 0.0, 50.0, Transport(timeout_s=2.0)
    )  # fmt: skip
    agent = Slow(fake_clock, quick)
    load = OpenLoad(plan, agent, 200, fake_clock, Progress(silent, fake_clock), int)
    assert load.run().sent_late_s == pytest.approx(0.3, abs=0.03)

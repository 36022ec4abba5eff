# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Few requests at a time, nobody held up by the dead, everything over in time."""

from __future__ import annotations

import heapq

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.health.conversation import (
    Request,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.health.exchange import Exchange
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.health.sweep import (
    WINDOW,
    Schedule,
)

OK = Exchange(code=0, http_status=200)
HANGS = None


class Target:
    """A conversation of `samples` requests, each answered after `answers_in_s` or never."""

    def __init__(self, answers_in_s: float | None, samples: int = 1, pause_s: float = 0.0) -> None:
        self.answers_in_s = answers_in_s
        self.pause_s = pause_s
        self.left = samples
        self.received: list[Exchange] = []

    def next_request(self) -> Request | None:
        return Request("http://x", self.pause_s if self.received else 0.0) if self.left else None

    def receive(self, exchange: Exchange) -> None:
        self.left -= 1
        self.received.append(exchange)


class Network:
    """A sender on which time passes only while it is waited on."""

    def __init__(self, clock) -> None:
        self.clock = clock
        self.pending: list = []
        self.sent_at: list[float] = []
        self.most_at_once = 0

    def send(self, token, request, timeout_s) -> None:
        now = self.clock.monotonic()
        answers_in_s = token.conversation.answers_in_s
        timed_out = answers_in_s is None or answers_in_s > timeout_s
        exchange = Exchange(code=28, timeout_s=timeout_s) if timed_out else OK
        due = now + (timeout_s if timed_out else answers_in_s)
        self.sent_at.append(now)
        heapq.heappush(self.pending, (due, len(self.sent_at), token, exchange))
        self.most_at_once = max(self.most_at_once, len(self.pending))

    def receive(self, wait_ms):
        now = self.clock.monotonic()
        due = self.pending[0][0] if self.pending else now + wait_ms / 1000
        self.clock.sleep(max(0.0, min(due - now, wait_ms / 1000)))
        ended = []
        while self.pending and self.pending[0][0] <= self.clock.monotonic() + 1e-9:
            _due, _number, token, exchange = heapq.heappop(self.pending)
            ended.append((token, exchange))
        return len(ended), ended


def run(clock, targets, timeout_s=2.0, pauses_s=0.0, at_once=4000) -> Network:
    network = Network(clock)
    Schedule(targets, network, timeout_s, at_once, clock).run(pauses_s)
    return network


def test_fast_targets_are_asked_a_few_at_a_time(fake_clock):
    targets = [Target(0.001, samples=5) for _target in range(100)]
    assert run(fake_clock, targets).most_at_once == WINDOW
    assert all(len(target.received) == 5 for target in targets)


def test_every_target_has_its_first_request_before_any_has_its_second(fake_clock):
    targets = [Target(0.001, samples=2) for _target in range(20)]
    network = run(fake_clock, targets)
    assert network.sent_at[20] >= network.sent_at[19]
    assert len(network.sent_at) == 40


def test_dead_targets_among_the_others_cost_one_timeout(fake_clock):
    targets = [Target(HANGS if i % 20 == 0 else 0.0001, samples=5) for i in range(1000)]
    run(fake_clock, targets, timeout_s=2.0)
    assert fake_clock.monotonic() < 2.0 + 1.0
    assert all(len(target.received) == (5 if target.answers_in_s else 1) for target in targets)


def test_a_fleet_that_is_dead_as_a_whole_costs_one_timeout_too(fake_clock):
    targets = [Target(HANGS) for _target in range(1000)]
    run(fake_clock, targets, timeout_s=2.0)
    assert fake_clock.monotonic() <= 2.0 + 1.0
    assert all(target.received[0].timeout_s == 2.0 for target in targets)


def test_distant_targets_are_asked_many_at_a_time(fake_clock):
    targets = [Target(0.030, samples=5) for _target in range(1000)]
    run(fake_clock, targets, timeout_s=5.0)
    assert fake_clock.monotonic() < 5.0
    assert all(len(target.received) == 5 for target in targets)


def test_the_requests_of_one_target_share_its_timeout(fake_clock):
    target = Target(1.5, samples=5)
    run(fake_clock, [target], timeout_s=2.0)
    whole, cut = target.received
    assert (whole.code, whole.cut_short) == (0, False)
    assert (cut.code, cut.cut_short, cut.timeout_s) == (28, True, pytest.approx(0.5))


def test_a_target_that_stops_answering_early_is_evidence(fake_clock):
    class Stops(Target):
        def receive(self, exchange):
            super().receive(exchange)
            self.answers_in_s = HANGS

    target = Stops(0.1, samples=5)
    run(fake_clock, [target], timeout_s=2.0)
    assert [(each.code, each.cut_short) for each in target.received] == [(0, False), (28, False)]


def test_pauses_lie_between_samples_and_are_no_part_of_the_timeout(fake_clock):
    target = Target(0.1, samples=4, pause_s=1.0)
    network = run(fake_clock, [target], timeout_s=2.0, pauses_s=3.0)
    assert network.sent_at == pytest.approx([0.0, 1.1, 2.2, 3.3], abs=0.01)
    assert len(target.received) == 4


def test_no_more_are_in_flight_than_sockets_allow(fake_clock):
    targets = [Target(HANGS) for _target in range(100)]
    assert run(fake_clock, targets, at_once=10).most_at_once == 10
    assert fake_clock.monotonic() == pytest.approx(3.0, abs=0.3)


def test_nothing_to_ask_takes_no_time(fake_clock):
    run(fake_clock, [])
    assert fake_clock.monotonic() == 0

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a proposal to the count that may be taken now: windows, rates, bounds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.autoscaling.decision import (
    Decision,
    Memory,
    decide,
    down_limit,
    up_limit,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.autoscaling.formula import (
    Proposal,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.autoscaling.policy import (
    Policy,
    RatePolicy,
    Rules,
)

NOW = 10_000.0
WIDE = Policy(min=1, max=1000)
AT_ONCE = Rules(0, "max", (RatePolicy("percent", 100, 15),))


def decided(policy: Policy, current: int, proposed: int | None, memory: Memory) -> Decision:
    return decide(policy, current, Proposal(proposed, 50, "so it was measured"), memory, NOW)


def reasons(decision: Decision) -> list[str]:
    return [condition.reason for condition in decision.conditions]


# --- bounds -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("current", "proposed", "desired", "reason"),
    [
        (9, 40, 10, "TooManyReplicas"),
        (4, 1, 3, "TooFewReplicas"),
        (12, 12, 10, "TooManyReplicas"),
        (12, None, 10, "TooManyReplicas"),
        (1, 1, 3, "TooFewReplicas"),
        (1, None, 3, "TooFewReplicas"),
        (3, 3, 3, "DesiredWithinRange"),
        (3, 4, 4, "DesiredWithinRange"),
    ],
)
def test_the_count_stays_within_the_bounds(current, proposed, desired, reason):
    policy = replace(Policy(), scale_down=AT_ONCE)
    decision = decided(policy, current, proposed, Memory())
    assert decision.desired == desired
    assert reasons(decision)[-1] == reason


def test_what_could_not_be_measured_changes_and_leaves_nothing():
    memory = Memory(5, ((NOW - 10, 7),), ())
    decision = decided(Policy(), 5, None, memory)
    assert (decision.desired, decision.memory) == (5, memory)
    assert reasons(decision) == ["FailedGetResourceMetric"]
    assert not decision.conditions[0].is_true


# --- stabilisation ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recommended", "desired"),
    [
        ([], 3),
        ([(299, 5)], 5),
        ([(300, 5)], 3),
        ([(250, 4), (200, 6), (10, 3)], 6),
        # An old recommendation takes nothing away, and adds nothing either.
        ([(100, 9)], 7),
    ],
)
def test_the_highest_recommendation_of_five_minutes_holds_when_going_down(recommended, desired):
    memory = Memory(7, tuple((NOW - age_s, count) for age_s, count in recommended))
    decision = decided(Policy(), 7, 3, memory)
    assert decision.desired == desired
    assert ("ScaleDownStabilized" in reasons(decision)) == (desired != 3)


def test_going_up_waits_for_nothing():
    memory = Memory(3, ((NOW - 1, 3), (NOW - 20, 3)))
    assert decided(Policy(), 3, 6, memory).desired == 6


def test_the_lowest_recommendation_of_a_window_holds_when_going_up():
    policy = replace(Policy(), scale_up=replace(Policy().scale_up, stabilization_s=60))
    memory = Memory(3, ((NOW - 59, 5), (NOW - 30, 4)))
    decision = decided(policy, 3, 7, memory)
    assert decision.desired == 4
    assert "ScaleUpStabilized" in reasons(decision)


def test_what_is_remembered_is_the_proposal_and_not_what_became_of_it():
    decision = decided(Policy(), 7, 2, Memory(7, ((NOW - 10, 7),)))
    assert decision.desired == 7
    assert decision.memory.recommendations[-1] == (NOW, 2)


def test_an_autoscaler_that_has_just_begun_takes_nothing_away():
    memory = Memory().of_use(Policy(), NOW).with_count(7, NOW - 5000, NOW)
    assert decided(Policy(), 7, 1, memory).desired == 7


# --- rates ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("current", "limit"), [(1, 5), (3, 7), (4, 8), (5, 10), (50, 100)])
def test_by_default_four_more_or_twice_as_many_whichever_is_more(current, limit):
    assert up_limit(Policy().scale_up, current, Memory(), NOW) == limit


@pytest.mark.parametrize(
    ("changes", "limit"),
    [
        ([(14, 4)], 7),  # 3 + 4, all used up
        ([(15, 4)], 14),  # a new period: 7 x 2
        ([(14, 2), (5, 2)], 7),
        ([(14, 4), (5, -2)], 10),  # the period began with 5
    ],
)
def test_changes_of_the_period_use_the_rate_up(changes, limit):
    memory = Memory(7, changes=tuple((NOW - age_s, change) for age_s, change in changes))
    assert up_limit(Policy().scale_up, 7, memory, NOW) == limit


def test_the_default_takes_all_away_at_once_when_the_window_has_passed():
    assert down_limit(Policy().scale_down, 80, Memory(), NOW) == 0


def test_eighty_go_to_ten_as_the_documentation_tells_it():
    # "Example: limit scale down rate": 10 % or 4 pods a minute, whichever is more: 8 at first,
    # 10 % of 72 rounded up to 8 next, and from 40 on 4 at a time.
    rules = Rules(0, "max", (RatePolicy("replicas", 4, 60), RatePolicy("percent", 10, 60)))
    policy = replace(WIDE, scale_down=rules)
    counts = [80]
    while counts[-1] > 10:
        decision = decided(policy, counts[-1], 10, Memory())
        counts.append(decision.desired)
    assert counts == [80, 72, 64, 57, 51, 45, 40, 36, 32, 28, 24, 20, 16, 12, 10]


@pytest.mark.parametrize(("select", "up", "down"), [("max", 20, 5), ("min", 11, 9)])
def test_the_chosen_policy_decides(select, up, down):
    policies = (RatePolicy("replicas", 1, 60), RatePolicy("percent", 100, 60))
    assert up_limit(Rules(0, select, policies), 10, Memory(), NOW) == up
    policies = (RatePolicy("replicas", 1, 60), RatePolicy("percent", 50, 60))
    assert down_limit(Rules(0, select, policies), 10, Memory(), NOW) == down


@pytest.mark.parametrize("proposed", [1, 9])
def test_a_disabled_direction_is_not_taken(proposed):
    never = Rules(0, "disabled", (RatePolicy("percent", 100, 15),))
    policy = replace(Policy(), min=1, scale_up=never, scale_down=never)
    decision = decided(policy, 5, proposed, Memory())
    assert decision.desired == 5
    assert decision.conditions[-1].is_true


def test_a_rate_that_is_used_up_twice_over_does_not_turn_round():
    # 12 were added by hand: the period began with 3, whose limit is 7.
    memory = Memory(15, changes=((NOW - 5, 12),))
    decision = decided(WIDE, 15, 30, memory)
    assert (decision.desired, reasons(decision)[-1]) == (15, "ScaleUpLimit")


# --- what is remembered -----------------------------------------------------------------------


def test_a_count_that_changed_is_remembered_from_when_it_did():
    memory = Memory(3, ((NOW - 20, 5),)).with_count(5, NOW - 18, NOW)
    assert memory == Memory(5, ((NOW - 20, 5),), ((NOW - 18, 2),))


def test_what_no_window_reaches_is_forgotten_and_so_is_the_future():
    recommendations = ((NOW - 300, 9), (NOW - 299, 8), (NOW + 60, 7))
    changes = ((NOW - 15, 1), (NOW - 14, 2), (NOW + 1, 3))
    kept = Memory(3, recommendations, changes).of_use(Policy(), NOW)
    assert kept == Memory(3, ((NOW - 299, 8),), ((NOW - 14, 2),))

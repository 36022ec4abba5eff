# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From CPU to a count: known answers of the Kubernetes documentation, and what is not seen."""

from __future__ import annotations

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.autoscaling.formula import (
    Sample,
    Standing,
    propose,
)


def samples(*shown: int | str) -> list[Sample]:
    """Replicas of one core: their CPU in percent, or `missing`, or `unready`."""
    return [
        Sample(f"replica-{number}", Standing.MEASURED, 1000, each * 10)
        if isinstance(each, int)
        else Sample(f"replica-{number}", Standing(each), 1000)
        for number, each in enumerate(shown)
    ]


@pytest.mark.parametrize(
    ("used", "target", "wanted"),
    [
        # "Algorithm details": 200m against 100m doubles the count, 50m halves it.
        ([200], 100, 2),
        ([50, 50], 100, 1),
        ([200, 200, 200], 100, 6),
        # "HorizontalPodAutoscaler Walkthrough": 305 % against 50 % takes 1 replica to 7.
        ([305], 50, 7),
        # By hand, with the guide's 70 %: ceil(3 x 90 / 70) = ceil(3.86), ceil(3 x 40 / 70) =
        # ceil(1.71), ceil(10 x 7 / 70) = 1.
        ([90, 90, 90], 70, 4),
        ([40, 40, 40], 70, 2),
        ([7] * 10, 70, 1),
        # One busy replica of three: ceil(3 x 80 / 70) = 4.
        ([200, 20, 20], 70, 4),
        ([0, 0, 0], 70, 0),
    ],
)
def test_known_answers(used, target, wanted):
    assert propose(len(used), samples(*used), target).replicas == wanted


@pytest.mark.parametrize(
    ("percent", "wanted"),
    [(77, 10), (78, 12), (63, 10), (62, 9), (70, 10)],
)
def test_a_tenth_around_the_target_changes_nothing(percent, wanted):
    # 0.9 and 1.1 are within: 78 / 70 = 1.114, so ceil(10 x 1.114) = 12.
    assert propose(10, samples(*[percent] * 10), 70).replicas == wanted


def test_replicas_of_different_size_count_by_what_they_asked_for():
    # (1.8 + 0.1) of (2 + 0.5) cores are 76 %: ceil(2 x 76 / 50) = 4.
    large = Sample("large", Standing.MEASURED, 2000, 1800)
    small = Sample("small", Standing.MEASURED, 500, 100)
    proposal = propose(2, [large, small], 50)
    assert (proposal.replicas, proposal.cpu_percent) == (4, 76)


@pytest.mark.parametrize(
    ("shown", "wanted"),
    [
        # Down: the missing one counts as 100 %: (10 + 10 + 100) / 3 = 40, ceil(3 x 40 / 70) = 2.
        ([10, 10, "missing"], 2),
        # (40 + 40 + 100) / 3 = 60 %: 60 / 70 = 0.857, ceil(3 x 0.857) = 3.
        ([40, 40, "missing"], 3),
        # The assumption turns the step round, so there is none: (60 + 100) / 2 = 80 %.
        ([60, "missing"], 2),
        # Up: the missing one counts as 0 %: (200 + 200 + 0) / 3 = 133, ceil(3 x 133 / 70) = 6.
        ([200, 200, "missing"], 6),
        # (90 + 90 + 0) / 3 = 60 % would turn it round.
        ([90, 90, "missing"], 3),
        # On the target, nothing is assumed.
        ([70, 70, "missing"], 3),
    ],
)
def test_a_missing_measurement_never_makes_a_step_larger(shown, wanted):
    assert propose(len(shown), samples(*shown), 70).replicas == wanted


def test_above_100_percent_a_missing_replica_is_taken_to_be_on_target():
    # (10 + 150) / 2 = 80 % of 150 %: ceil(2 x 80 / 150) = 2.
    assert propose(2, samples(10, "missing"), 150).replicas == 2


@pytest.mark.parametrize(
    ("shown", "wanted"),
    [
        # Up: one that is not ready counts as 0 %: (200 + 200 + 0) / 3 = 133 %.
        ([200, 200, "unready"], 6),
        # Four that are on their way are enough: (210 + 4 x 0) / 5 = 42 % would turn it round.
        ([210, "unready", "unready", "unready", "unready"], 5),
        # Down: it is left out: ceil(2 x 20 / 70) = 1.
        ([20, 20, "unready"], 1),
        # Both kinds: (300 + 0 + 0) / 3 = 100 %, ceil(3 x 100 / 70) = 5.
        ([300, "missing", "unready"], 5),
    ],
)
def test_a_replica_that_is_not_ready_adds_no_load(shown, wanted):
    assert propose(len(shown), samples(*shown), 70).replicas == wanted


@pytest.mark.parametrize("shown", [[], ["missing"] * 3, ["unready"] * 3, ["missing", "unready"]])
def test_when_nothing_can_be_measured_nothing_is_proposed(shown):
    proposal = propose(3, samples(*shown), 70)
    assert (proposal.replicas, proposal.cpu_percent) == (None, None)


@pytest.mark.parametrize(
    ("current", "used"),
    [(5, [80, 80, 80]), (3, [50, 50, 50, 50, 50])],
    ids=["replicas on their way", "replicas on their way out"],
)
def test_a_step_never_goes_against_the_load(current, used):
    assert propose(current, samples(*used), 70).replicas == current

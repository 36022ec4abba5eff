# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits share one deadline, back off, and look once more at the end."""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.deadline import (
    Deadline,
    backoff,
    cut_short,
    poll,
)


def test_remaining_falls_with_time_and_stops_at_zero(fake_clock):
    deadline = Deadline(fake_clock, 10)
    fake_clock.sleep(4)
    assert (deadline.remaining, deadline.elapsed, deadline.expired) == (6, 4, False)
    fake_clock.sleep(7)
    assert (deadline.remaining, deadline.expired) == (0, True)


def test_backoff_grows_to_its_longest_pause():
    assert list(itertools.islice(backoff(1, 2, 5), 5)) == [1, 2, 4, 5, 5]


def test_a_pause_is_cut_short_to_what_is_left_and_never_to_nothing():
    left = iter([None, 7, 3, 0.5, 0, -1])
    pauses = cut_short(itertools.repeat(5), lambda: next(left), shortest=0.1)
    assert list(itertools.islice(pauses, 6)) == [5, 5, 3, 0.5, 0.1, 0.1]


def test_what_holds_long_enough_is_seen_at_once(fake_clock):
    held_since = 1.0

    def left_s():
        now = fake_clock.monotonic()
        return held_since + 2.5 - now if now >= held_since else None

    def look():
        return "held" if left_s() is not None and left_s() <= 0 else None

    pauses = cut_short(backoff(1, 2, 8), left_s)
    assert poll(look, Deadline(fake_clock, 60), fake_clock, pauses) == "held"
    assert fake_clock.monotonic() == 3.5


def test_poll_returns_the_first_value(fake_clock):
    values = iter([None, None, "ready"])
    assert poll(lambda: next(values), Deadline(fake_clock, 10), fake_clock) == "ready"


def test_poll_ends_with_a_look_at_the_deadline(fake_clock):
    looked_at = []

    def look():
        looked_at.append(fake_clock.monotonic())

    assert poll(look, Deadline(fake_clock, 3), fake_clock, backoff(2, 1, 2)) is None
    assert looked_at == [0, 2, 3]


def test_poll_looks_once_even_with_no_time(fake_clock):
    assert poll(lambda: "there", Deadline(fake_clock, 0), fake_clock) == "there"


def test_a_look_that_raises_ends_the_wait(fake_clock):
    def crashed():
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - any error passes through
        poll(crashed, Deadline(fake_clock, 10), fake_clock)
    assert fake_clock.monotonic() == 0

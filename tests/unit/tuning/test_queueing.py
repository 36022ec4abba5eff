# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Erlang's formulas against their definitions and against published values."""

from __future__ import annotations

from fractions import Fraction
from math import factorial

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.queueing import (
    connections_needed,
    erlang_b,
    erlang_c,
    offered_load,
)


def waiting_by_definition(connections: int, load: Fraction) -> Fraction:
    """The stationary M/M/c queue, added up state by state."""
    if load >= connections:
        return Fraction(1)
    waiting = load**connections / factorial(connections) * connections / (connections - load)
    free = sum(load**number / Fraction(factorial(number)) for number in range(connections))
    return waiting / (free + waiting)


def test_littles_law() -> None:
    assert offered_load(50.0, 0.04) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("connections", "load"),
    # The usual table of Erlang B for a loss of 1 %.
    [(1, 0.0101), (2, 0.153), (5, 1.36), (10, 4.46), (20, 12.0), (50, 37.9), (100, 84.1)],
)
def test_erlang_b_is_as_published(connections: int, load: float) -> None:
    assert erlang_b(connections, load) == pytest.approx(0.01, rel=0.03)


@pytest.mark.parametrize("connections", [1, 2, 3, 7, 14, 40])
@pytest.mark.parametrize("tenths", [1, 10, 29, 100, 395])
def test_erlang_c_is_what_the_queue_does(connections: int, tenths: int) -> None:
    load = Fraction(tenths, 10)
    known = float(waiting_by_definition(connections, load))
    assert erlang_c(connections, float(load)) == pytest.approx(known, rel=1e-9)


@pytest.mark.parametrize("load", ["0.01", "0.1", "0.5", "1", "3", "8", "20", "50", "80"])
def test_what_is_needed_is_the_least_with_which_one_in_a_hundred_waits(load: str) -> None:
    needed = connections_needed(float(load))
    assert waiting_by_definition(needed, Fraction(load)) <= Fraction(1, 100)
    assert needed == 1 or waiting_by_definition(needed - 1, Fraction(load)) > Fraction(1, 100)


def test_no_load_needs_one_connection() -> None:
    assert connections_needed(0.0) == 1


def test_a_load_beyond_reason_is_refused() -> None:
    with pytest.raises(ValueError, match="needs more than"):
        connections_needed(1e6)

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Durations, sizes and times as people read and write them."""

from __future__ import annotations

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core import readable
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)

KIB, MIB, GIB = 1024, 1024**2, 1024**3


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("1.5 h", 5400), ("26h", 93600), ("1d", 86400), ("2w", 1209600)],
)
def test_a_duration_has_a_unit(text, seconds):
    assert readable.read_duration("max_age", text) == seconds


@pytest.mark.parametrize("text", ["15", "-5m", "1 day", "h", "", "1h30m", "infs"])
def test_another_text_is_refused_by_the_name_of_its_option(text):
    with pytest.raises(OperationError, match="option max_age") as caught:
        readable.read_duration("max_age", text)
    assert caught.value.reason is Reason.INVALID_INPUT


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (14.24, "14.2 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (192, "3 min 12 s"),
        (3780, "1 h 3 min"),
    ],
)
def test_durations_are_read_at_a_glance(seconds, text):
    assert readable.duration_text(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0 s"),
        (119.9, "119 s"),
        (120, "2 min"),
        (5999, "99 min"),
        (6000, "1 h"),
        (172799, "47 h"),
        (172800, "2 d"),
        (86400 * 400, "400 d"),
    ],
)
def test_an_age_is_never_said_to_be_more_than_it_is(seconds, text):
    assert readable.age_text(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "0.98 KiB"),
        (1.46 * GIB, "1.46 GiB"),
        (13.6 * MIB, "13.6 MiB"),
        (130 * MIB, "130 MiB"),
        (999 * GIB, "999 GiB"),
        (2048 * GIB, "2.00 TiB"),
    ],
)
def test_sizes_have_three_figures(size, text):
    assert readable.size_text(size) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (99999, "99999"), (123456, "123 k"), (999499, "999 k"), (999500, "1.00 M"),
     (6800000, "6.80 M"), (12345678, "12.3 M"), (900000000, "900 M")],
)  # fmt: skip
def test_large_counts_have_three_figures(count, text):
    assert readable.count_text(count) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (0.1953, "0.195"),
        (66.14, "66.1"),
        (999.4, "999"),
        (999.5, "1000"),
        (1240.4, "1240"),
    ],
)
def test_a_number_has_three_figures_and_no_exponent(number, text):
    assert readable.number_text(number) == text


def test_times_are_utc():
    assert readable.utc_text(1737597600) == "2025-01-23T02:00:00Z"

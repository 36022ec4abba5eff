# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Percentiles, thresholds, and figures as people read them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.health.indicators import (
    Thresholds,
    measured,
    percentile,
    show,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.health.usage import (
    UsageReading,
    cpu,
    memory,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.health.verdict import Verdict


@pytest.mark.parametrize(
    ("values", "p50", "p95"),
    [
        ([], None, None),
        ([7], 7, 7),
        ([5, 1, 4, 2, 3], 3, 5),
        (list(range(1, 101)), 50, 95),
        (list(range(1, 21)), 10, 19),
    ],
)
def test_percentiles_are_values_that_were_measured(values, p50, p95):
    assert (percentile(values, 50), percentile(values, 95)) == (p50, p95)


def test_the_limit_itself_is_not_below_the_limit():
    assert measured("api", [99.9], 100, "agent").verdict is Verdict.HEALTHY
    over = measured("api", [1, 100], 100, "agent")
    assert over.verdict is Verdict.DEGRADED
    assert over.said == "p95 is 100 ms, not below 100 ms"


@pytest.mark.parametrize(
    ("value", "indicator", "text"),
    [
        (3.14, "api", "3.1 ms"),
        (0.8, "database", "0.8 ms"),
        (0.04, "api", "0.04 ms"),
        (23.7, "api", "24 ms"),
        (100, "api", "100 ms"),
        (50.0, "database", "50 ms"),
        (21.6, "memory", "22 %"),
        (None, "cpu", "-"),
    ],
)
def test_figures_are_short(value, indicator, text):
    assert show(value, indicator) == text


NOW = UsageReading(1000.0, 220e6, 1e9, 30.0, 100.0)


@pytest.mark.parametrize(
    ("before", "percent", "basis"),
    [
        (None, 30, "since start"),
        (UsageReading(990.0, None, None, 29.1, 90.0), 9, "last 10 s"),
        (UsageReading(998.0, None, None, 29.1, 98.0), 30, "since start"),  # too young
        (UsageReading(90.0, None, None, 1.0, 1.0), 30, "since start"),  # too old
        (UsageReading(990.0, None, None, 29.1, 400.0), 30, "since start"),  # another process
        (UsageReading(990.0, None, None, 31.0, 90.0), 30, "since start"),  # ran backwards
    ],
)
def test_cpu_is_averaged_since_the_last_reading_of_the_same_process(before, percent, basis):
    indicator, said = cpu(NOW, before, Thresholds())
    assert indicator.p95 == pytest.approx(percent)
    assert said == basis


def test_cpu_that_the_platform_watched_goes_before_all():
    watched = replace(NOW, cpu_percent=12.5, cpu_window_s=1.0)
    indicator, said = cpu(watched, UsageReading(990.0, None, None, 29.1, 90.0), Thresholds())
    assert (indicator.p95, said) == (12.5, "last 1.0 s")


def test_starting_up_is_not_counted_as_load():
    indicator, _window = cpu(replace(NOW, cpu_seconds=1.9, uptime_s=2.0), None, Thresholds())
    assert indicator.verdict is None
    assert "2 s only" in indicator.said


def test_memory_is_a_share_of_its_limit():
    assert memory(NOW, Thresholds()).p95 == pytest.approx(22)
    assert memory(UsageReading(1.0, 9.0, 10.0), Thresholds()).verdict is Verdict.DEGRADED


@pytest.mark.parametrize(
    ("reading", "words"),
    [(None, "no usage"), (UsageReading(1.0, 5.0), "nothing limits")],
)
def test_what_was_not_measured_has_no_verdict(reading, words):
    indicator = memory(reading, Thresholds())
    assert indicator.verdict is None
    assert words in indicator.said

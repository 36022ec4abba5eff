# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures, their comparison, and the table of both."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.load.comparison import (
    latency_text,
    load_table,
    notes,
    summary,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.load.figures import (
    Figures,
    Outcome,
    answers_a_second,
    counted,
    distribution,
    latency_figures,
)

LATENCIES = [float(n) for n in range(1, 1001)]


def figures(latencies_ms=LATENCIES, failed: int = 0, **changes) -> Figures:
    outcomes = [Outcome(number, latency) for number, latency in enumerate(latencies_ms)]
    outcomes += [Outcome(len(outcomes) + n, None, "HTTP 500") for n in range(failed)]
    given = {
        "path": "/x",
        "rate": 50.0,
        "duration_s": 20.0,
        "warm_up_s": 2.0,
        "replicas": 3,
        "taken_at": "2026-01-25T10:15:02Z",
        "answers_a_second": 50.0,
        "most_connections_in_use": 4,
        "sent_late_ms": 0.7,
        "cut_short": "",
        **latency_figures(outcomes),
        **changes,
    }
    return Figures(**given)


def test_percentiles_are_those_of_the_answers_in_any_order():
    found = figures(LATENCIES[::-1], failed=10)
    assert (found.p50_ms, found.p95_ms, found.p99_ms, found.max_ms) == (500, 950, 990, 1000)
    assert (found.requests, found.answered, found.failed) == (1010, 1000, 10)
    assert found.failures == {"HTTP 500": 10}


def test_nothing_answered_has_no_latency():
    found = figures([], failed=3)
    assert (found.p50_ms, found.p99_ms, found.max_ms, found.distribution) == (None,) * 3 + ([],)
    assert "-" in load_table(found, None).rows[3]


@pytest.mark.parametrize(
    ("count", "furthest"), [(1, 0), (2, 50), (10, 90), (100, 99), (999, 99.5), (1000, 99.9)]
)
def test_a_distribution_goes_as_far_as_its_samples_tell(count, furthest):
    points = distribution(sorted(LATENCIES[:count]))
    assert points[0][0] == 0
    assert points[-1][0] == furthest


def test_the_warm_up_is_not_counted():
    outcomes = [Outcome(number, 1.0) for number in range(120)]
    assert [each.number for each in counted(outcomes, 20)] == list(range(20, 120))


def test_a_load_that_ends_in_its_warm_up_is_told_by_what_there_is():
    outcomes = [Outcome(number, None, "HTTP 500") for number in range(20)]
    assert counted(outcomes, 100) == outcomes


@pytest.mark.parametrize(
    ("answered", "duration_s", "took_s", "rate"),
    [(1000, 20.0, 19.98, 50), (1000, 20.0, 25.0, 40), (500, 0.0, 10.0, 50), (0, 0.0, 0.0, 0)],
)
def test_answers_a_second_count_until_the_last_one(answered, duration_s, took_s, rate):
    assert answers_a_second(answered, duration_s, took_s) == rate


def test_figures_come_back_from_a_result_as_they_were():
    before = figures(failed=2)
    assert Figures.of(json.loads(json.dumps({**before.as_dict(), "notes": []}))) == before


def test_the_table_says_what_has_changed():
    before = figures(failed=3)
    now = figures(
        [latency / 2 for latency in LATENCIES], answers_a_second=40.0, most_connections_in_use=9
    )
    table = load_table(now, before)
    assert table.columns == ["load", "before", "after", "change"]
    assert table.rows == [
        ["requests", "1003", "1000", "-3"],
        ["failed", "3", "0", "-3"],
        ["answers a second", "50.0/s", "40.0/s", "-20 %"],
        ["p50", "500 ms", "250 ms", "-50 %"],
        ["p95", "950 ms", "475 ms", "-50 %"],
        ["p99", "990 ms", "495 ms", "-50 %"],
        ["max", "1000 ms", "500 ms", "-50 %"],
        ["pool in use", "4", "9", "+5"],
        ["sent late", "0.7 ms", "0.7 ms", ""],
    ]


def test_the_table_of_one_load_has_one_column():
    table = load_table(figures(most_connections_in_use=None), None)
    assert table.columns == ["load", "measured"]
    assert table.rows[3] == ["p50", "500 ms"]
    assert table.rows[7] == ["pool in use", "-"]


def test_no_change_is_told_where_it_rounds_to_none():
    before, now = figures(), figures([latency * 1.003 for latency in LATENCIES])
    assert load_table(now, before).rows[3] == ["p50", "500 ms", "502 ms", ""]


def test_the_table_and_the_summary_fit_a_terminal():
    worst = figures([123456.0] * 10, failed=99990, answers_a_second=1000.0, sent_late_ms=12345.6)
    table = load_table(worst, worst)
    widths = [max(len(row[column]) for row in table.rows) for column in range(4)]
    assert sum(widths) + 2 * 3 <= 76
    assert len(summary("cost-agent", worst, worst)) <= 76


def test_the_summary_is_one_line_with_the_p95():
    now = replace(figures(), cut_short="25 of the last 50 requests failed")
    assert summary("a", figures(), None) == "a: p95 950 ms, 0 of 1000 failed"
    assert summary("a", now, figures()) == "a: p95 950 ms -> 950 ms, 0 of 1000 failed; cut short"
    halved = figures([latency / 2 for latency in LATENCIES])
    assert "p95 950 ms -> 475 ms (-50 %)" in summary("a", halved, figures())


def test_notes_say_what_was_left_out_and_why_a_load_ended():
    now = replace(figures(failed=2), cut_short="25 of the last 50 requests failed: HTTP 500")
    assert notes(now, figures()) == [
        "After: cut short, 25 of the last 50 requests failed: HTTP 500",
        "After: the latencies leave out what failed: 2 x HTTP 500",
    ]
    assert notes(figures(), figures()) == []


@pytest.mark.parametrize(
    ("latency_ms", "text"),
    [
        (None, "-"),
        (0.0421, "0.0421 ms"),
        (12.34, "12.3 ms"),
        (999.4, "999 ms"),
        (999.6, "1000 ms"),
        (1240, "1240 ms"),
    ],
)
def test_latencies_have_three_figures(latency_ms, text):
    assert latency_text(latency_ms) == text

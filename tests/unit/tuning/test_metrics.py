# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prometheus text about a pool, and what two readings of it tell."""

from __future__ import annotations

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.metrics import (
    Histogram,
    read_pool_metrics,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.samples import (
    between,
    since_start,
)

TEXT = """\
# HELP cost_agent_pool_held_seconds Time that a connection was held for
# TYPE cost_agent_pool_held_seconds histogram
cost_agent_pool_held_seconds_bucket{le="0.1"} 90.0
cost_agent_pool_held_seconds_bucket{le="0.5"} 99.0
cost_agent_pool_held_seconds_bucket{le="+Inf"} 100.0
cost_agent_pool_held_seconds_count 100.0
cost_agent_pool_held_seconds_sum 8.0
cost_agent_pool_timeouts_total 3.0
process_start_time_seconds 1.7e+09
"""


def test_a_scrape_is_read() -> None:
    found = read_pool_metrics(TEXT)
    assert found is not None
    assert found.held.mean_s == 0.08
    assert (found.timeouts, found.started_at, found.wait) == (3.0, 1.7e9, None)


@pytest.mark.parametrize(
    "text", ["", "nothing of a pool 1", "<html>", "cost_agent_pool_held_seconds_sum 1"]
)
def test_what_tells_nothing_of_a_pool_is_nothing(text: str) -> None:
    assert read_pool_metrics(text) is None


def test_series_with_labels_are_summed() -> None:
    text = "\n".join(
        f'p_held_seconds_bucket{{engine="{engine}",le="+Inf"}} 5\n'
        f'p_held_seconds_count{{engine="{engine}"}} 5\n'
        f'p_held_seconds_sum{{engine="{engine}"}} 2'
        for engine in "ab"
    )
    found = read_pool_metrics(text, "p")
    assert found is not None
    assert found.held == Histogram(10.0, 4.0, ((float("inf"), 10.0),))


@pytest.mark.parametrize(
    ("share", "seconds"),
    # By hand, as Prometheus's histogram_quantile interpolates.
    [(0.45, 0.05), (0.9, 0.1), (0.95, 0.1 + 0.4 * 5 / 9), (0.999, 0.5)],
)
def test_quantiles_are_those_of_prometheus(share: float, seconds: float) -> None:
    found = read_pool_metrics(TEXT)
    assert found is not None
    assert found.held.quantile(share) == pytest.approx(seconds)


def test_a_restart_between_two_scrapes_is_no_workload() -> None:
    before = read_pool_metrics(TEXT)
    other = read_pool_metrics(TEXT.replace("1.7e+09", "1.8e+09"))
    fewer = read_pool_metrics(TEXT.replace("count 100.0", "count 10.0"))
    assert before is not None
    assert other is not None
    assert fewer is not None
    assert between("x", before, other, 60) is None
    assert between("x", before, fewer, 60) is None
    assert between("x", before, before, 60) is not None


def test_since_its_start_by_the_replicas_own_clock() -> None:
    metrics = read_pool_metrics(TEXT)
    assert metrics is not None
    found = since_start("x", metrics, 1.7e9 + 50)
    assert found is not None
    assert found.arrivals_per_s == pytest.approx(103 / 50)
    assert found.as_dict()["held_p99_s"] == pytest.approx(0.5)
    assert since_start("x", metrics, 1.7e9 - 1) is None

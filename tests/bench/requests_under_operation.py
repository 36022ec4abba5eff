# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests at a fixed rate while an operator works, and how many of them got no answer."""

from __future__ import annotations

import time
from collections.abc import Iterator

from tests.bench.figures import Figure, at_least, say
from tests.bench.operated_sites import Operated, succeeded
from tests.load.open_load import OpenLoad
from tests.load.report import Report

# "0 of at least 5,000 at 100 a second or more": what is asked for leaves some room below.
REQUESTS, RATE = 5000, 120
LEAST_RATE = 100
_BETWEEN = RATE  # requests: a second of them before each step and after the last


def requests_under_operation(platform: str, agent: Operated) -> Iterator[Figure]:
    """Every step once, under one load that goes on until there were enough requests."""
    yield from agent.before
    say()
    say(f"{platform + ', under load':<30}{'s':>8}{'requests':>10}{'failed':>8}")
    with OpenLoad(f"{agent.url}/api/v1/health", RATE, timeout_s=30) as load:
        for name, operate in agent.steps.items():
            load.wait_for(_BETWEEN)
            asked, failed, started = load.answered, load.failed, time.perf_counter()
            run = succeeded(operate())
            if not run.changed:
                raise SystemExit(f"{platform}: {name} changed nothing:\n{run.output}")
            seconds = time.perf_counter() - started
            asked, failed = load.answered - asked, load.failed - failed
            say(f"  {name:<28}{seconds:8.1f}{asked + failed:10}{failed:8}")
        done = load.answered + load.failed
        load.wait_for(max(_BETWEEN, REQUESTS - done), limit_s=120)
    yield from figures(platform, load.report)


def figures(platform: str, report: Report) -> Iterator[Figure]:
    failed = f"{report.failed} of {report.sent}"
    none = report.failed == 0 and report.sent >= REQUESTS
    yield Figure(f"{platform}: requests failed", failed, f"0 of {REQUESTS}", none)
    yield at_least(f"{platform}: requests a second", report.rate, LEAST_RATE, "")
    yield Figure(f"{platform}: on new connections", f"{report.sent - report.kept_alive}")
    yield Figure(f"{platform}: sent again, as RFC 9110 allows", f"{report.retried}")
    yield Figure(f"{platform}: p50, p99, max", _latencies(report))
    for kind, number in report.kinds.items():
        yield Figure(f"{platform}: {kind}", f"{number}")
    for failure in report.failures[:5]:
        kept = "kept" if failure.kept_alive else "new"
        say(f"  {time.strftime('%H:%M:%S', time.localtime(failure.at))} {failure.kind}, {kept}")


def _latencies(report: Report) -> str:
    return f"{report.p50_ms:.0f}, {report.p99_ms:.0f}, {report.max_ms:.0f} ms"

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One load, or two beside each other, as people read them."""

from __future__ import annotations

from typing import Any, Callable

from ...core.readable import number_text
from ...core.result import Table
from .figures import Figures

_LATENCIES = (("p50", "p50_ms"), ("p95", "p95_ms"), ("p99", "p99_ms"), ("max", "max_ms"))


def load_table(now: Figures, before: Figures | None) -> Table:
    """The figures as text; with `before` also what has changed."""
    rows = _rows(now, before)
    if before is None:
        return Table(["load", "measured"], [[row[0], row[2]] for row in rows])
    return Table(["load", "before", "after", "change"], rows)


def _rows(now: Figures, before: Figures | None) -> list[list[str]]:
    rows = [
        _row("requests", now, before, "requests", str, _more),
        _row("failed", now, before, "failed", str, _more),
        _row("answers a second", now, before, "answers_a_second", _rate, _percent),
    ]
    for title, name in _LATENCIES:
        rows.append(_row(title, now, before, name, latency_text, _percent))
    rows.append(_row("pool in use", now, before, "most_connections_in_use", _count, _more))
    rows.append(_row("sent late", now, before, "sent_late_ms", latency_text, _nothing))
    return rows


def _row(
    title: str,
    now: Figures,
    before: Figures | None,
    name: str,
    text: Callable[[Any], str],
    change: Callable[[float, float], str],
) -> list[str]:
    after = getattr(now, name)
    old = getattr(before, name) if before else None
    changed = "" if old is None or after is None else change(old, after)
    return [title, text(old) if before else "", text(after), changed]


def summary(agent: str, now: Figures, before: Figures | None) -> str:
    """`p95 12.3 -> 8.1 ms (-34 %), 0 of 1000 failed`."""
    p95 = latency_text(now.p95_ms)
    if before and before.p95_ms is not None and now.p95_ms is not None:
        change = _percent(before.p95_ms, now.p95_ms)
        p95 = f"{latency_text(before.p95_ms)} -> {p95}{f' ({change})' if change else ''}"
    text = f"{agent}: p95 {p95}, {now.failed} of {now.requests} failed"
    return f"{text}; cut short" if now.cut_short else text


def notes(now: Figures, before: Figures | None) -> list[str]:
    """What else there is to know, in sentences."""
    found = []
    for figures, when in ((before, "Before: "), (now, "After: " if before else "")):
        if figures is None:
            continue
        if figures.cut_short:
            found.append(f"{when}cut short, {figures.cut_short}")
        if figures.failed:
            kinds = ", ".join(f"{count} x {kind}" for kind, count in figures.failures.items())
            found.append(f"{when}the latencies leave out what failed: {kinds}")
    return found


def latency_text(latency_ms: float | None) -> str:
    """`0.84 ms`, `12.3 ms`, `1240 ms`."""
    if latency_ms is None:
        return "-"
    return f"{number_text(latency_ms)} ms"


def _rate(value: float) -> str:
    return f"{value:.1f}/s"


def _count(value: int | None) -> str:
    return "-" if value is None else str(value)


def _more(before: float, after: float) -> str:
    return f"{after - before:+g}" if after != before else ""


def _percent(before: float, after: float) -> str:
    """The relative change; empty where it rounds to none, or there is nothing to relate it to."""
    text = f"{(after - before) / before * 100:+.0f} %" if before else ""
    return "" if text in ("+0 %", "-0 %") else text


def _nothing(before: float, after: float) -> str:
    return ""

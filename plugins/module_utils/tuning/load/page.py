# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report: one page that needs nothing else, in light and in dark, on paper and on a phone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...core.errors import OperationError, Reason
from ...core.state_store import write_atomically
from .chart import draw_chart, load_pygal
from .comparison import load_table, notes, summary
from .figures import Figures

# Names of machines and settings are its owner's alone until he shows them to others.
_MODE = 0o600

_PAGE = """\
{% macro grid(table, kind) %}
<table class="{{ kind }}">
<thead><tr>{% for column in table.columns %}<th scope="col">{{ column }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in table.rows %}
<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</tbody>
</table>
{% endmacro %}
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{{ agent }} under load</title>
<style>
:root { --text: #1d2430; --quiet: #5a6472; --line: #d8dde4; --page: #ffffff;
  --before: #b05a00; --after: #0b63c5; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e8ee; --quiet: #9aa5b4;
  --line: #38414e; --page: #14181f; --before: #f0a04b; --after: #6cb2ff; } }
@media print { :root { --text: #000000; --quiet: #333333; --line: #bbbbbb; --page: #ffffff;
  --before: #b05a00; --after: #0b63c5; } table, figure { break-inside: avoid; } h2 { break-after: avoid; }
  figure { max-width: 28rem; } }
body { margin: 0 auto; max-width: 46rem; padding: 1.5rem 1rem 3rem; background: var(--page);
  color: var(--text); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { margin: .25rem 0; }
.quiet, figcaption, caption { color: var(--quiet); font-size: .9rem; text-align: left; }
.verdict { font-size: 1.15rem; margin: 1rem 0 0; }
.whole, .figures td + td { white-space: nowrap; }
figure { margin: 1.5rem 0 0; max-width: 40rem; }
figure svg { display: block; width: 100%; height: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .5rem; border-bottom: 1px solid var(--line); text-align: right; }
th { font-weight: 600; }
th:first-child, td:first-child { text-align: left; padding-left: 0; font-weight: normal; }
td:last-child, th:last-child { padding-right: 0; }
</style>
</head>
<body>
<h1>{{ agent }} under load</h1>
<p class="quiet">{{ load }}, measured
{% for time in times %}<span class="whole">{{ time }}</span>{{ " and " if not loop.last }}{% endfor %}
</p>
<p class="verdict">{{ summary }}</p>
{% if chart %}
<figure>
{{ chart | safe }}
<figcaption>{{ "The lower line is the faster one. " if before else "" }}At the mark 90 %, it shows
the time within which 90 of 100 answers came.</figcaption>
</figure>
{% endif %}
<h2>Figures</h2>
{{ grid(figures, "figures") }}
{% for note in notes %}
<p class="quiet">{{ note }}.</p>
{% endfor %}
{% if changes.rows %}
<h2>What was changed</h2>
{{ grid(changes, "changes") }}
{% endif %}
<h2>How it was measured</h2>
<p class="quiet">Requests were due at a constant rate, whether or not those before them had been
answered, and each latency runs from when its request was due to the last byte of its answer. So a
stall of the agent counts for every request that it would have hit. The first
{{ warm_up }} s are left out. "sent late" is the most that the measuring side itself was behind.
"pool in use" is the most database connections that a worker said it had in use.</p>
</body>
</html>
"""


def page_content(
    agent: str, now: Figures, before: Figures | None, changes: Mapping[str, tuple[str, str]]
) -> dict[str, Any]:
    """What the page shows, as plain values: texts that are not yet escaped."""
    replicas = f"{now.replicas} replica{'' if now.replicas == 1 else 's'}"
    return {
        "agent": agent,
        "load": f"{now.rate:g} requests a second for {now.duration_s:g} s to {now.path} "
        f"of {replicas}",
        "times": [each.taken_at for each in (before, now) if each],
        "summary": summary(agent, now, before),
        "figures": asdict(load_table(now, before)),
        "notes": notes(now, before),
        "changes": {
            "columns": ["setting", "before", "after"],
            "rows": [[setting, *values] for setting, values in changes.items()],
        },
        "warm_up": f"{now.warm_up_s:g}",
    }


def render_page(content: Mapping[str, Any], now: Figures, before: Figures | None) -> str:
    """The whole page; `missing_library` without Jinja2 or pygal."""
    jinja2 = _load_jinja2()
    loads = [("measured", now)] if before is None else [("before", before), ("after", now)]
    drawn = [(name, figures) for name, figures in loads if figures.distribution]
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    template = environment.from_string(_PAGE)
    # The chart is the one text that is not escaped there: pygal has done that.
    return str(template.render(**content, before=before, chart=draw_chart(drawn) if drawn else ""))


def require_report(path: str) -> None:
    """Refuse what would keep the page from being written, before anything is sent.

    Raises `missing_library`, and `precondition` for a place that this user cannot write.
    """
    load_pygal()
    _load_jinja2()
    page = Path(path)
    there = page.parent
    while not there.exists() and there != there.parent:
        there = there.parent
    if page.is_dir():
        raise _unwritable(path, "it is a folder", "Give a file's path")
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        raise _unwritable(path, f"{there} is no folder that this user can write", _NEXT)


_NEXT = "Give a path in a folder that this user can write"


def write_page(path: str, page: str) -> None:
    """Replace the file at once; `precondition` when it cannot be."""
    try:
        write_atomically(Path(path), page.encode(), _MODE)
    except OSError as error:
        raise _unwritable(path, str(error.strerror), _NEXT) from error


def _unwritable(path: str, seen: str, next_step: str) -> OperationError:
    return OperationError(Reason.PRECONDITION, "write the report", f"{path}: {seen}", next_step)


def _load_jinja2() -> Any:
    try:
        import jinja2
    except ImportError as error:
        raise OperationError(
            Reason.MISSING_LIBRARY,
            "write the report",
            "the Python library Jinja2 is not installed for this interpreter",
            "Run it on the controller, where Ansible brings it, or leave report out",
        ) from error
    return jinja2

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The chart of the latencies, before and after in one scale: SVG by pygal, without script."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

from ...core.errors import OperationError, Reason
from .comparison import latency_text
from .figures import Figures

_WIDTH, _HEIGHT = 600, 430
# pygal leaves out the label of a line that is at the very top.
_TOP = 1.01
_COLOURS = ("var(--before)", "var(--after)")
_TITLE = "Latency by share of the answers"
# The percents that have a name on the axis.
_NAMED = (50, 90, 99, 99.9, 99.99)
_COMMENT_OR_SCRIPT = ("script", "{http://www.w3.org/2000/svg}script")


def load_pygal() -> Any:
    """The library; `missing_library` without it."""
    try:
        import pygal
        import pygal.style
    except ImportError as error:
        raise OperationError(
            Reason.MISSING_LIBRARY,
            "draw the chart of the report",
            "the Python library pygal is not installed for this interpreter",
            "Install pygal where this runs, or leave report out",
        ) from error
    # For maps, which we do not draw, it joins in the imports of the whole process, by an interface
    # that Python 3.10 and 3.11 warn of.
    finder = getattr(pygal, "PluginImportFixer", ())
    sys.meta_path[:] = [each for each in sys.meta_path if not isinstance(each, finder)]
    return pygal


def draw_chart(loads: Sequence[tuple[str, Figures]]) -> str:
    """A line for each named load: which latency so many percent of its answers stayed within.

    The axis of percents is stretched towards the slow end, by a factor of ten from mark to mark,
    as HdrHistogram's plots have it. Latencies are on a logarithmic axis: a line that is lower
    by the same amount is faster by the same factor. Colours are the page's, as CSS variables.
    """
    pygal = load_pygal()
    latencies = [ms for _name, figures in loads for _percent, ms in figures.distribution]
    furthest = max(percent for _name, each in loads for percent, _ms in each.distribution)
    ticks = latency_ticks(min(latencies), max(latencies))
    chart = pygal.XY(
        width=_WIDTH,
        height=_HEIGHT,
        style=_style(pygal, _COLOURS[-len(loads) :]),
        js=[],
        disable_xml_declaration=True,
        logarithmic=True,
        range=(ticks[0], ticks[-1] * _TOP),
        xrange=(_stretched(0), max(_stretched(furthest), _stretched(50))),
        x_title="share of the answers that came",
        y_title="within so many ms",
        legend_at_bottom=True,
        legend_at_bottom_columns=2,
        dots_size=2.5,
        margin=10,
        margin_right=36,
        margin_bottom=20,
    )
    chart.x_labels = [
        {"value": _stretched(percent), "label": f"{percent:g} %"}
        for percent in _NAMED
        if percent <= max(furthest, 50)
    ]
    chart.y_labels = [{"value": tick, "label": f"{tick:g}"} for tick in ticks]
    for number, (name, figures) in enumerate(loads):
        points = [
            {
                "value": (_stretched(percent), max(ms, ticks[0])),
                "label": f"{percent:g} % within {latency_text(ms)}",
            }
            for percent, ms in figures.distribution
        ]
        is_last = number == len(loads) - 1
        stroke = {"width": 3} if is_last else {"width": 3, "dasharray": "8, 5"}
        chart.add(name, points, stroke_style=stroke)
    chart.add_xml_filter(_passive)
    return str(chart.render(is_unicode=True))


def _stretched(percent: float) -> float:
    """Where a percent is on the axis, which is logarithmic too: 90 at 10, 99 at 100."""
    return 100 / (100 - percent)


def latency_ticks(least: float, most: float) -> list[float]:
    """1, 2 and 5 times powers of ten, from the one below `least` to the one above `most`."""
    first = math.floor(math.log10(max(least, 0.001)))
    last = math.ceil(math.log10(max(most, 0.002)))
    ticks = [factor * 10.0**power for power in range(first, last + 1) for factor in (1, 2, 5)]
    begin = max(index for index, tick in enumerate(ticks) if tick <= max(least, 0.001))
    end = min(index for index, tick in enumerate(ticks) if tick >= most and index > begin)
    return ticks[begin : end + 1]


def _style(pygal: Any, colours: Sequence[str]) -> Any:
    return pygal.style.Style(
        background="transparent",
        plot_background="transparent",
        foreground="var(--text)",
        foreground_strong="var(--text)",
        foreground_subtle="var(--line)",
        guide_stroke_color="var(--line)",
        guide_stroke_dasharray="none",
        major_guide_stroke_color="var(--line)",
        major_guide_stroke_dasharray="none",
        colors=tuple(colours),
        font_family="inherit",
        label_font_size=18,
        major_label_font_size=18,
        legend_font_size=18,
        title_font_size=18,
        opacity="1",
        opacity_hover="1",
        stroke_opacity="1",
        stroke_width="3",
        transition="none",
    )


def _passive(root: Any) -> Any:
    """The drawing without pygal's script and comments, and with a name for who cannot see it."""
    for parent in root.iter():
        for child in list(parent):
            if not isinstance(child.tag, str) or child.tag in _COMMENT_OR_SCRIPT:
                parent.remove(child)
    root.set("role", "img")
    root.set("aria-label", _TITLE)
    return root

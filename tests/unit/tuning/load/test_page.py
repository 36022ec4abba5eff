# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report: everything escaped, nothing fetched, nothing run."""

from __future__ import annotations

import re
import stat
import sys
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.load.chart import (
    draw_chart,
    latency_ticks,
    load_pygal,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.tuning.load.page import (
    page_content,
    render_page,
    require_report,
    write_page,
)

from tests.unit.tuning.load.test_figures import figures

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&"


class Page(HTMLParser):
    """The elements and attributes of a page, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def page(now=None, before=None, changes=None, agent: str = "cost-agent") -> str:
    now = now or figures()
    return render_page(page_content(agent, now, before, changes or {}), now, before)


def test_the_page_shows_the_figures_the_changes_and_the_chart():
    shown = Page(page(figures(failed=2), figures(), {"pool_size": ("4", "20")}))
    for words in ("cost-agent under load", "950 ms", "+2", "pool_size", "20", "HTTP 500"):
        assert words in shown.text
    assert shown.elements.count("svg") == 1
    assert shown.elements.count("table") == 2


def test_texts_from_outside_are_escaped():
    now = replace(
        figures(failed=1), path=HOSTILE, cut_short=HOSTILE, failures={HOSTILE: 1}, taken_at=HOSTILE
    )
    shown = Page(page(now, figures(), {HOSTILE: (HOSTILE, HOSTILE)}, agent=HOSTILE))
    assert {"script", "img"} & set(shown.elements) == set()
    assert shown.text.count(HOSTILE) >= 7


def test_the_page_needs_nothing_else_and_runs_nothing():
    text = page(figures(failed=2), figures(), {"pool_size": ("4", "20")})
    shown = Page(text)
    assert not {"script", "link", "img", "iframe", "object", "a"} & set(shown.elements)
    names = {name for name, _value in shown.attributes}
    assert not {"src", "href", "xlink:href", "srcset"} & names
    assert not [name for name in names if name.startswith("on")]
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    namespaces = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert set(re.findall(r"https?://[^\s\"'<>]+", text)) <= namespaces


def test_before_and_after_share_one_scale():
    chart = ElementTree.fromstring(draw_chart([("before", figures()), ("after", figures())]))
    words = [each.text for each in chart.iter() if each.text and each.tag.endswith("text")]
    assert {"before", "after", "90 %", "99 %", "99.9 %", "1", "1000"} <= set(words)
    series = [each for each in chart.iter() if "series" in each.get("class", "").split()]
    paths = [e.get("d") for each in series for e in each.iter() if e.tag.endswith("path")]
    assert len(paths) == 2
    assert paths[0] == paths[1]


def test_the_library_leaves_later_imports_alone():
    load_pygal()
    assert not [each for each in sys.meta_path if type(each).__module__.startswith("pygal")]


@pytest.mark.parametrize("latencies", [[5.0], [0.0004], [5.0] * 3, [3600000.0, 0.001]])
def test_a_chart_can_be_drawn_of_any_latencies(latencies):
    assert draw_chart([("measured", figures(latencies))]).startswith("<svg")


def test_a_load_without_an_answer_has_no_chart_and_a_page_all_the_same():
    assert "svg" not in Page(page(figures([], failed=3))).elements
    assert Page(page(figures([], failed=3), figures())).elements.count("svg") == 1


@pytest.mark.parametrize(
    ("least", "most", "ticks"),
    [
        (3.4, 53.0, [2, 5, 10, 20, 50, 100]),
        (1.0, 1.0, [1, 2]),
        (0.085, 0.53, [0.05, 0.1, 0.2, 0.5, 1]),
        (20, 20.5, [20, 50]),
        (0.0, 0.0, [0.001, 0.002]),
    ],
)
def test_ticks_are_round_and_enclose_the_latencies(least, most, ticks):
    assert latency_ticks(least, most) == pytest.approx(ticks)


def test_only_its_owner_may_read_the_page(tmp_path):
    path = tmp_path / "new" / "report.html"
    write_page(str(path), "first")
    write_page(str(path), "second")
    assert path.read_text() == "second"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_refused_before_the_load(tmp_path):
    (tmp_path / "file").touch()
    for place in (tmp_path, tmp_path / "file" / "report.html"):
        with pytest.raises(OperationError) as refused:
            require_report(str(place))
        assert refused.value.reason is Reason.PRECONDITION
    require_report(str(tmp_path / "not" / "there" / "yet.html"))
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]

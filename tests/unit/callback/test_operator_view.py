# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person reads: lines of plain text that fit and lose nothing."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.plugin_utils import operator_view as view

HEALTH = {
    "columns": ["indicator", "limit", "p50", "verdict"],
    "rows": [["api", "100 ms", "3.1 ms", "healthy"], ["cpu", "70 %", "-", "unknown"]],
}


def drawn(lines: list[view.Line]) -> str:
    return "\n".join(view.text_of(line) for line in lines)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("caf\u00e9 \u2713", "caf\\xe9 \\u2713"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("a\r\nb\tc\x07", "a\nb       c"),
        (5, "5"),
    ],
)
def test_text_is_ascii_without_control_characters(raw, text):
    assert view.plain(raw) == text


def test_a_step_has_its_label_status_and_summary_in_columns():
    line = drawn(view.step("restart", "changed", "3 of 3, none below 2 ready", 80))
    assert line == "  restart            changed   3 of 3, none below 2 ready"


def test_a_step_without_summary_ends_with_its_status():
    assert drawn(view.step("health", "healthy", "", 80)) == "  health             healthy"


def test_only_the_status_word_carries_a_colour():
    (line,) = view.step("health is healthy", "down", "healthy before", 80)
    assert [text for text, word in line if word] == ["down"]


def test_a_long_summary_is_wrapped_below_itself():
    summary = "from 1.4.1, which took 6.1 s to build and 2 s to link, all of it offline"
    assert drawn(view.step("release 1.4.2", "changed", summary, 80)) == (
        "  release 1.4.2      changed   from 1.4.1, which took 6.1 s to build and 2 s to\n"
        "                               link, all of it offline"
    )


@pytest.mark.parametrize("width", [20, 60, 80, 120])
def test_a_sentence_as_label_is_shortened_and_keeps_its_summary(width):
    lines = view.step("A name that reads as a sentence and goes on", "ok", "all of " * 9, width)
    assert "A name that reads as a sentence and g..." in view.text_of(lines[0])
    assert drawn(lines).split().count("all") == 9


def test_a_table_aligns_quantities_to_the_right_and_ends_without_blanks():
    assert drawn(view.table(HEALTH, 80)) == (
        "    indicator    limit      p50   verdict\n"
        "    api         100 ms   3.1 ms   healthy\n"
        "    cpu           70 %        -   unknown"
    )


def test_a_table_colours_its_verdicts_only():
    lines = view.table({"columns": ["x", "verdict"], "rows": [["is down", "down"]]}, 80)
    assert [word for line in lines for _text, word in line if word] == ["down"]


def test_a_table_breaks_no_word_while_other_text_can_give_way():
    names = {
        "columns": ["backup", "why"],
        "rows": [["20261123T223157Z-f8e4630a", "daily, weekly, the newest good one"]],
    }
    lines = [view.text_of(line) for line in view.table(names, 50)]
    assert lines[1].startswith("    20261123T223157Z-f8e4630a   daily, weekly")
    assert all(len(line) <= 50 for line in lines)


POOLS = {
    "columns": ["replica", "pool", "in use", "a second", "held", "wait p99", "in vain"],
    "rows": [
        ["cost-agent-7d9f8b6c5d-x2k4q", "20 + 10", "13", "1240", "12.3 ms", "24.9 ms", "1024"],
        ["cost-agent-7d9f8b6c5d-8jw2p", "20 + 10", "0", "-", "-", "-", "-"],
    ],
}


def test_a_name_and_a_quantity_are_whole_where_headings_can_give_way():
    assert drawn(view.table(POOLS, 80)) == (
        "    replica                      pool        in       a     held     wait     in\n"
        "                                            use  second               p99   vain\n"
        "    cost-agent-7d9f8b6c5d-x2k4q  20 + 10     13    1240  12.3 ms  24.9 ms   1024\n"
        "    cost-agent-7d9f8b6c5d-8jw2p  20 + 10      0       -        -        -      -"
    )


def test_a_word_is_broken_where_nothing_else_can_give_way():
    ids = {"columns": ["id"], "rows": [["abcdefghij" * 4]]}
    lines = [view.text_of(line) for line in view.table(ids, 34)]
    assert lines[1:] == ["    " + "abcdefghij" * 3, "    abcdefghij"]


def test_a_cell_keeps_its_numbers_with_their_units():
    seen = {
        "columns": ["check", "seen"],
        "rows": [["persistence", "none since the start 15 s ago"]],
    }
    assert drawn(view.table(seen, 42)).endswith(
        "    persistence   none since the start\n                  15 s ago"
    )


def test_a_table_too_wide_is_wrapped_inside_its_widest_column():
    wide = {"columns": ["finding", "cause"], "rows": [["disk", "the log " * 20]]}
    lines = [view.text_of(line) for line in view.table(wide, 60)]
    assert max(map(len, lines)) <= 60
    assert " ".join(lines).split().count("log") == 20


@pytest.mark.parametrize(
    "tables",
    [None, "text", [["row"]], [{"columns": ["a"]}], [{"columns": [], "rows": ["x"]}]],
)
def test_what_is_no_table_is_not_drawn_as_one(tables):
    assert view.tables_of({"tables": tables}) == []


def test_uneven_rows_and_an_empty_table_are_drawn():
    assert (
        drawn(view.table({"columns": ["a"], "rows": [["1", "2"], []]}, 80)) == "    a\n    1   2\n"
    )
    assert drawn(view.table({"columns": [], "rows": []}, 80)) == ""


def test_hosts_that_agree_share_a_line():
    entries = [view.Entry(host, "changed", "ready") for host in ("web1", "web2")]
    text = drawn(view.steps("restart", entries, True, 80))
    assert text == "  restart            changed   2 hosts: ready"


def test_summaries_that_differ_between_good_hosts_are_left_out():
    entries = [view.Entry(host, "changed", f"in {host}") for host in ("web1", "web2")]
    assert (
        drawn(view.steps("restart", entries, True, 80)) == "  restart            changed   2 hosts"
    )


def test_hosts_that_differ_are_named():
    entries = [view.Entry("web1", "ok"), view.Entry("web2", "changed"), view.Entry("web3", "ok")]
    assert drawn(view.steps("restart", entries, True, 80)) == (
        "  restart            ok        web1, web3\n                     changed   web2"
    )


def test_each_host_in_trouble_has_its_line_and_its_table():
    bad = [view.Entry(h, "down", f"{h} is away", view.table(HEALTH, 80)) for h in ("a", "b")]
    text = drawn(view.steps("health", bad, True, 80))
    assert "a: a is away" in text
    assert "b: b is away" in text
    assert text.count("indicator") == 2


def test_a_single_host_is_not_named():
    text = drawn(view.steps("restart", [view.Entry("web1", "ok", "ready")], False, 80))
    assert text == "  restart            ok        ready"


def test_a_failure_shows_message_table_log_tail_and_all_the_rest_but_the_state_in_the_table():
    result = {
        "changed": True,
        "reason": "timeout",
        "msg": "Failed to start: it did not come up within 30 s. Look at its log.",
        "log_tail": ["Traceback:", "  line 1"],
        "tables": [HEALTH],
        "state": {"api": {"p50_ms": 3.1}},
        "summary": "1 healthy, 1 unknown",
        "duration": 30.1,
        "actions": ["started 8001"],
        "events": [],
    }
    assert drawn(view.failure(result, 62)) == (
        "    Failed to start: it did not come up within 30 s. Look at\n"
        "    its log.\n"
        "    indicator    limit      p50   verdict\n"
        "    api         100 ms   3.1 ms   healthy\n"
        "    cpu           70 %        -   unknown\n"
        "    log tail:\n"
        "      Traceback:\n"
        "        line 1\n"
        "    actions: started 8001\n"
        "    changed: true"
    )


def test_without_a_table_a_failure_shows_its_state():
    result = {"reason": "timeout", "msg": "Failed to stop.", "state": {"pid": 7}}
    result["failed_when_result"] = True
    assert drawn(view.failure(result, 80)) == '    Failed to stop.\n    state: {"pid": 7}'


def test_a_condition_of_the_playbook_is_told_where_nothing_else_says_why():
    result = {"failed_when_result": True, "status": 404}
    assert drawn(view.failure(result, 80)) == "    failed_when_result: true\n    status: 404"


def test_a_number_is_not_parted_from_its_unit():
    assert drawn(view.paragraph("took 30 s", 8, 0)) == "took\n30 s"


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ({"msg": ["a", "b"]}, "    msg:\n      a\n      b"),
        (
            {"rc": 0, "stdout": "x\ny", "stdout_lines": ["x", "y"]},
            "    rc: 0\n    stdout:\n      x\n      y",
        ),
        ({"log_tail": "one\ntwo"}, "    log tail:\n      one\n      two"),
        ({"tables": "broken"}, "    tables: broken"),
        ({"stderr": "", "state": {}, "actions": [], "x": None}, ""),
        ({"changed": True}, "    changed: true"),
        ({}, ""),
    ],
)
def test_any_failed_result_is_readable(result, text):
    assert drawn(view.failure(result, 80)) == text


def unexpected(part):
    raise AssertionError(f"asked for a unified diff of {part}")


def test_a_diff_of_observations_names_what_differs():
    diff = {
        "before": {"release": "1.4.1", "replicas": 3, "gone": True, "env": {"A": "1"}},
        "after": {"release": "1.4.2", "replicas": 3, "new": [1], "env": {"A": ""}},
    }
    assert drawn(view.diff_lines(diff, 80, unexpected)) == (
        '    env.A: 1 -> ""\n    gone: true -> (none)\n    new: (none) -> [1]\n'
        "    release: 1.4.1 -> 1.4.2"
    )


def test_a_diff_of_texts_is_indented_and_coloured():
    lines = view.diff_lines(
        [{"before": "a", "after": "b"}], 80, lambda part: "@@ -1 +1 @@\n-a\n+b\n\n"
    )
    assert lines == [[("    @@ -1 +1 @@", "@")], [("    -a", "-")], [("    +b", "+")]]


@pytest.mark.parametrize(
    ("result", "verdict"),
    [
        ({"state": {"verdict": "down"}}, "down"),
        ({"state": {"verdict": "excellent"}}, None),
        ({"state": {"verdict": ["down"]}}, None),
        ({"state": []}, None),
        ({}, None),
    ],
)
def test_a_verdict_is_one_of_four_words(result, verdict):
    assert view.verdict_of(result) == verdict


DONE = view.Outcome(
    seconds=14.2,
    hosts=1,
    plays_without_hosts=0,
    failures={},
    verdicts={},
    changed_steps=0,
    rescued=0,
    ignored=0,
    check_mode=False,
)


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ({"verdicts": {"a": "healthy"}}, "healthy in 14.2 s"),
        ({"verdicts": {"a": "healthy", "b": "down", "c": "unknown"}}, "down in 14.2 s"),
        ({}, "done in 14.2 s, nothing changed"),
        ({"changed_steps": 1}, "done in 14.2 s, 1 step changed"),
        ({"changed_steps": 2, "check_mode": True}, "done in 14.2 s, 2 steps would change (check)"),
        ({"check_mode": True}, "done in 14.2 s, nothing would change (check)"),
        ({"hosts": 0}, "no host matched: nothing was done"),
        ({"plays_without_hosts": 1}, "done in 14.2 s, nothing changed, 1 play matched no host"),
        ({"failures": {"a": "restart: timeout"}}, "failed in 14.2 s: restart: timeout"),
        (
            {"failures": {"a": "deploy: both failed"}, "verdicts": {"a": "healthy"}, "rescued": 1},
            "failed in 14.2 s, last health healthy, 1 failure rescued: deploy: both failed",
        ),
        (
            {"failures": {"b": "x: timeout", "a": "x: timeout"}, "hosts": 3},
            "failed in 14.2 s on a, b (2 of 3 hosts): x: timeout",
        ),
        (
            {"verdicts": {"a": "healthy"}, "ignored": 2},
            "healthy in 14.2 s, 2 failures ignored",
        ),
    ],
)
def test_the_last_line_tells_how_it_ended(what, text):
    assert drawn(view.closing(dataclasses.replace(DONE, **what), 120)) == text


def test_the_last_line_names_no_more_hosts_than_a_person_reads():
    failures = {f"web{n:02}": "x: timeout" for n in range(20)}
    text = drawn(view.closing(dataclasses.replace(DONE, failures=failures, hosts=20), 200))
    assert "web07 and 12 more" in text
    assert "web08" not in text

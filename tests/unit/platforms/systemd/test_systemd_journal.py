# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries of the journal become lines."""

from __future__ import annotations

import json

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.systemd import journal


def entry(message, at_s=0.0):
    fields = {"MESSAGE": message, "__REALTIME_TIMESTAMP": str(int(at_s * 1e6))}
    return json.dumps(fields).encode()


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("plain", "plain"),
        ([104, 105, 255], "hi\ufffd"),  # not all of it is text
        (None, "[cut]"),  # too long for journalctl to show
        ("x" * 20_000, "x" * 16_384 + " [cut]"),
    ],
)
def test_every_kind_of_message_is_a_line(message, line):
    assert journal.newest_of([entry(message)], None) == [(line, "")]


def test_what_is_older_is_left_out_to_the_fraction_of_a_second():
    entries = [entry("before", 99.4), entry("after", 99.6)]
    assert journal.newest_of(entries, 99.5) == [("after", "")]


def test_the_oldest_lines_give_way_to_a_bound():
    entries = [entry(str(number).rjust(16_000)) for number in range(1200)]
    lines = journal.newest_of(entries, None)
    assert lines[-1].text.endswith("1199")
    assert 1000 < len(lines) < 1100


def test_lines_of_one_run_are_left_out_unless_there_are_no_others():
    first = [journal.Line("Traceback", "a"), journal.Line("Error: no such table", "a")]
    assert journal.without_run([*first, journal.Line("Traceback", "b")], "b") == first
    assert journal.without_run(first, "a") == first
    assert journal.without_run([], "a") == []

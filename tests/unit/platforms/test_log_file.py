# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The newest lines of a log, by count and by time, in bounded memory."""

from __future__ import annotations

import json
import tracemalloc
from datetime import UTC, datetime

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import (
    OperationError,
    Reason,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms import agent_logs
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.platforms.host import (
    log_file,
)

line_time, newest_lines = log_file.line_time, log_file.newest_lines

NOON = datetime(2025, 1, 23, 12, tzinfo=UTC).timestamp()


@pytest.fixture
def log(tmp_path):
    def write(content):
        path = tmp_path / "replica.log"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def dated(minute, text):
    return json.dumps({"time": f"2025-01-23T12:{minute:02}:00+00:00", "message": text})


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ("", []),
        ("\n", [""]),
        ("a", ["a"]),
        ("a\n", ["a"]),
        ("a\n\nb\n", ["a", "", "b"]),
        ("a\r\nb\r\n", ["a", "b"]),
        (b"\xff\xfe\n", ["\ufffd\ufffd"]),
    ],
)
def test_lines_are_read_whole_and_in_order(log, content, lines):
    assert newest_lines(log(content), 10) == lines


@pytest.mark.parametrize("count", [1, 3, 9999, 10000, 20000])
def test_only_the_last_lines_come_back_across_blocks(log, count):
    lines = [f"line {number} " + "x" * 20 for number in range(10000)]
    assert newest_lines(log("\n".join(lines) + "\n"), count) == lines[-count:]


def test_a_missing_log_has_no_lines(tmp_path):
    assert newest_lines(tmp_path / "none.log", 10) == []


def test_only_what_came_behind_a_position(log):
    path = log("old\nnew\n")
    assert newest_lines(path, 10, start=4) == ["new"]
    assert newest_lines(path, 10, start=8) == []
    assert newest_lines(path, 10, start=100) == ["old", "new"]  # emptied and grown again


def test_older_lines_are_left_out_with_the_undated_ones_behind_them(log):
    path = log(
        "\n".join(
            [
                dated(1, "old"),
                "Traceback of old",
                dated(5, "new"),
                "Traceback of new",
                dated(6, "c"),
            ]
        )
    )
    since = NOON + 5 * 60
    assert newest_lines(path, 10, since) == [dated(5, "new"), "Traceback of new", dated(6, "c")]
    assert newest_lines(path, 2, since) == ["Traceback of new", dated(6, "c")]
    assert newest_lines(path, 10, since + 3600) == []


def test_lines_before_any_date_are_kept(log):
    assert newest_lines(log("starting\n" + dated(5, "up")), 10, NOON) == [
        "starting",
        dated(5, "up"),
    ]


def test_a_line_without_an_end_in_sight_is_cut(log):
    (line,) = newest_lines(log(b"x" * 1_000_000), 10)
    assert len(line) < 20_000
    assert line.endswith("[cut]")


def test_a_huge_log_is_read_from_its_end_in_little_memory(tmp_path):
    path = tmp_path / "replica.log"
    with path.open("wb") as file:
        file.truncate(2_000_000_000)
        file.seek(0, 2)
        file.write(b"\nlast\n")
    tracemalloc.start()
    assert newest_lines(path, 1) == ["last"]
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("line", "time"),
    [
        ('{"time": "2025-01-23T12:00:00+00:00"}', NOON),
        ('{"timestamp": "2025-01-23T12:00:00.250Z"}', NOON + 0.25),
        ('{"@timestamp": "2025-01-23T14:00:00+0200"}', NOON),
        ('{"ts": 1737633600.5}', 1737633600.5),
        ('{"time": true}', None),
        ('{"time": "now"}', None),
        ('{"message": "no time"}', None),
        ("{half", None),
        ("2025-01-23T12:00:00Z INFO up", NOON),
        ("[2025-01-23 12:00:00,500+00:00] up", NOON + 0.5),
        ("2025-99-99T12:00:00Z", None),
        ("INFO:     Started server process", None),
    ],
)
def test_the_time_of_a_line(line, time):
    assert line_time(line) == time


@pytest.mark.parametrize(
    ("text", "time"),
    [
        (None, None),
        ("30s", NOON - 30),
        ("15m", NOON - 900),
        ("1.5 h", NOON - 5400),
        ("2d", NOON - 172800),
        ("2025-01-23T11:00:00Z", NOON - 3600),
        ("2025-01-23T13:00:00+02:00", NOON - 3600),
    ],
)
def test_since_is_a_duration_or_a_time(text, time):
    assert agent_logs.since_time(text, NOON) == time


@pytest.mark.parametrize("text", ["yesterday", "15", "-5m", "2025-13-01", "5 weeks"])
def test_since_is_nothing_else(text):
    with pytest.raises(OperationError, match="since") as caught:
        agent_logs.since_time(text, NOON)
    assert caught.value.reason is Reason.INVALID_INPUT

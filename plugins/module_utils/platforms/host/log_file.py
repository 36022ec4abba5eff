# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The newest lines of a log, read from its end: memory is bounded whatever the file's size."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

_BLOCK = 64 * 1024
_LONGEST_LINE = 16 * 1024
# How far back a line's time is looked for, and how much is ever held: 10,000 lines of 16 KiB
# would be too much for a target.
_FURTHEST_BACK = 16 * 1024 * 1024
_TIME_KEYS = ("time", "timestamp", "@timestamp", "ts", "asctime")
_LEADING_TIME = re.compile(r"\[?(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*)")
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?(Z|[+-]\d\d:?\d\d)?\]?\Z"
)


def newest_lines(path: Path, lines: int, since: float | None = None, start: int = 0) -> list[str]:
    """The last lines behind byte `start`, oldest first, none older than `since` (epoch seconds).

    A line without a time of its own, such as one of a traceback, is as old as the line with one
    before it. A longer line than 16 KiB is cut, and nothing is read further back than 16 MiB.
    A missing file has no lines.
    """
    kept: list[str] = []
    undated: list[str] = []
    try:
        with path.open("rb") as file:
            for line in _backwards(file, start):
                time = line_time(line) if since is not None else 0.0
                if since is not None and time is not None and time < since:
                    return kept[:lines][::-1]  # and so are the undated ones behind it
                undated.append(line)
                if time is not None:
                    kept += undated
                    undated = []
                if len(kept) >= lines:
                    break
                del undated[lines:]
    except FileNotFoundError:
        return []
    return (kept + undated)[:lines][::-1]


def line_time(line: str) -> float | None:
    """When a line was written (epoch seconds): a JSON line's time field, or a leading date.

    A time without a zone is this machine's local time, as Python's logging writes it.
    """
    if line.startswith("{"):
        try:
            fields = json.loads(line)
        except ValueError:
            return None
        value = next((fields[key] for key in _TIME_KEYS if key in fields), None)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        return parse_time(value) if isinstance(value, str) else None
    match = _LEADING_TIME.match(line)
    return parse_time(match.group(1)) if match else None


def parse_time(text: str) -> float | None:
    """Epoch seconds of an ISO 8601 date and time, or None; `,` may lead the fraction."""
    match = _TIME.match(text)
    if not match:
        return None
    date, clock, fraction, zone = match.groups()
    zone = {"Z": "+00:00", None: ""}.get(zone, zone)
    if len(zone) == 5:
        zone = f"{zone[:3]}:{zone[3:]}"
    try:
        moment = datetime.fromisoformat(f"{date}T{clock}{zone}")
    except ValueError:
        return None
    return moment.timestamp() + float(f"0.{fraction or 0}")


def _backwards(file: BinaryIO, start: int) -> Iterator[str]:
    """The lines behind byte `start`, last first; a last one without an end counts."""
    end = file.seek(0, os.SEEK_END)
    if start > end:  # the file was emptied since
        start = 0
    start = max(start, end - _FURTHEST_BACK)
    if start == end:
        return
    file.seek(end - 1)
    position = end - 1 if file.read(1) == b"\n" else end
    tail = b""
    while position > start:
        size = min(_BLOCK, position - start)
        position -= size
        file.seek(position)
        pieces = (file.read(size) + tail).split(b"\n")
        yield from (_text(piece) for piece in reversed(pieces[1:]))
        tail = pieces[0]
        if len(tail) > _LONGEST_LINE + _BLOCK:
            tail = tail[: _LONGEST_LINE + 1]  # the one byte more shows that it was cut
    yield _text(tail)


def _text(line: bytes) -> str:
    text = line[:_LONGEST_LINE].decode("utf-8", errors="replace").rstrip("\r")
    return text if len(line) <= _LONGEST_LINE else f"{text} [cut]"

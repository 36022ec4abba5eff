# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Durations, sizes and times as people read and write them."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from .errors import invalid_option

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def duration_s(text: str) -> float | None:
    """The seconds of `90s`, `15m`, `2h`, `1.5d` or `1w`; None for another text."""
    match = _DURATION.match(text.strip())
    return float(match.group(1)) * _SECONDS[match.group(2)] if match else None


def read_duration(option: str, text: str) -> float:
    """The seconds in a duration option; `invalid_input`, naming the option, for another text."""
    seconds = duration_s(text)
    if seconds is None:
        raise invalid_option(option, f"{text!r} is no duration", "Give one such as 90s, 15m or 1d")
    return seconds


def duration_text(seconds: float) -> str:
    """`14.2 s`, `3 min 12 s` or `1 h 3 min`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def age_text(seconds: float) -> str:
    """An age in one unit, rounded down: `42 s`, `15 min`, `7 h`, `12 d`."""
    for unit, size, up_to in (("s", 1, 120), ("min", 60, 100), ("h", 3600, 48)):
        if seconds < size * up_to:
            return f"{max(0, int(seconds // size))} {unit}"
    return f"{int(seconds // 86400)} d"


def count_text(count: int) -> str:
    """A count in three figures: `99999`, `123 k`, `6.80 M`."""
    if count < 100_000:
        return str(count)
    scaled, unit = (count / 1e3, "k") if count < 999_500 else (count / 1e6, "M")
    return f"{scaled:.{0 if scaled >= 100 else 1 if scaled >= 10 else 2}f} {unit}"


def number_text(number: float) -> str:
    """Three figures, and every digit before the point: `0.195`, `66.1`, `1240`."""
    return f"{number:.3g}" if abs(number) < 999.5 else f"{number:.0f}"


def size_text(size: float) -> str:
    """Bytes in three figures: `512 B`, `1.46 GiB`, `130 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1000:
            return f"{size:.{0 if unit == 'B' or size >= 100 else 1 if size >= 10 else 2}f} {unit}"
        size /= 1024
    return f"{size:.2f} TiB"


def utc_text(epoch_s: float) -> str:
    """Seconds since the epoch as `2025-01-23T02:00:00Z`."""
    return f"{datetime.fromtimestamp(epoch_s, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a benchmark prints: figures, each with the limit that it must keep where there is one."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One line of the table; `kept` is None where there is no limit to keep."""

    what: str
    value: str
    limit: str = ""
    kept: bool | None = None


def at_most(what: str, value: float, limit: float, unit: str) -> Figure:
    bound = f"at most {limit:g} {unit}".rstrip()
    return Figure(what, _text(value, unit), bound, round(value, 2) <= limit)


def at_least(what: str, value: float, limit: float, unit: str) -> Figure:
    return Figure(what, _text(value, unit), f"at least {limit:g} {unit}", round(value, 2) >= limit)


def show(figure: Figure) -> None:
    mark = {True: "PASS", False: "FAIL", None: ""}[figure.kept]
    say(f"{figure.what:<46} {figure.value:>10}  {figure.limit:<15} {mark}")


def say(line: str = "") -> None:
    sys.stdout.write(line.rstrip() + "\n")
    sys.stdout.flush()


def machine() -> str:
    """The weather: how many cores, and how busy they were before the start."""
    one, five, _fifteen = os.getloadavg()
    return f"{os.cpu_count()} cores, load {one:.1f} {five:.1f} before the start"


def _text(value: float, unit: str) -> str:
    return f"{value:.{0 if unit in ('MB', '') else 2}f} {unit}".rstrip()

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one result that every operation returns."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class Table:
    """Rows that a person compares; cells are text, ready to print."""

    columns: list[str]
    rows: list[list[str]]


@dataclass
class Result:
    """What an operation did and what it saw last.

    `actions` are sentences in the past tense, or what would be done in check mode; `state` is
    the last observation; `summary` is one line for a person, without the status word; `diff` is
    Ansible's `{before, after}`. `stats` are kept with the job, as set_stats would. `duration`
    (seconds) is filled in by the runner.
    """

    changed: bool = False
    actions: list[str] = field(default_factory=list)
    state: dict[str, Any] = field(default_factory=dict)
    summary: str = ""
    tables: list[Table] = field(default_factory=list)
    diff: dict[str, Any] | None = None
    stats: dict[str, Any] | None = None
    duration: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """The result as a module returns it; absent parts are left out."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values["tables"] = [vars(table) for table in self.tables]
        if self.stats is not None:
            values["ansible_stats"] = {"data": self.stats, "per_host": False, "aggregate": True}
        del values["stats"]
        if self.diff is None:
            del values["diff"]
        return values

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which backups are kept, as restic, Borg and Proxmox Backup Server have it; see decision 0036.

`daily: 7` keeps the newest backup of each of the last seven days that have one, and so on for
ISO weeks, months and years, all in UTC. A backup that one rule keeps is kept.

- Backups that leave out different schemas or tables are judged apart, so that none without a
  table takes the place of one that has it.
- A backup that verify found damaged takes no good one's place. It stays for as long as it would
  if it were good, since some of it may still be of use.
- The newest good one is always kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timezone
from typing import Callable

from ...core.errors import OperationError, Reason, invalid_option
from ...core.operation import Params
from .backup_summary import BackupSummary
from .layout import started_at


@dataclass(frozen=True)
class Policy:
    """How many of each to keep."""

    last: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0

    @classmethod
    def of(cls, params: Params) -> Policy:
        """The policy in the options `keep_last`, `keep_daily`, ...

        Raises `invalid_input` for a number below 0, and when all are 0: that would keep nothing.
        """
        counts = {each.name: params[f"keep_{each.name}"] for each in fields(cls)}
        for name, count in counts.items():
            if count < 0:
                raise invalid_option(
                    f"keep_{name}", f"{count} is below 0", "Give how many to keep, or leave it out"
                )
        if not any(counts.values()):
            raise OperationError(
                Reason.INVALID_INPUT,
                "decide which backups to keep",
                "no option says how many, and keeping none would remove every backup",
                "Give at least one of keep_last, keep_daily, keep_weekly, keep_monthly and"
                " keep_yearly",
            )
        return cls(**counts)


@dataclass(frozen=True)
class Decision:
    """Whether a backup is kept, and why."""

    backup: BackupSummary
    keep: bool
    reason: str


def decide(backups: Iterable[BackupSummary], policy: Policy) -> list[Decision]:
    """The decision on each finished backup, newest first."""
    series: dict[tuple[str, ...], list[BackupSummary]] = {}
    for each in sorted(backups, key=lambda each: each.id, reverse=True):
        series.setdefault(tuple(each.excluded or ()), []).append(each)
    decisions = [one for group in series.values() for one in _decide_on_series(group, policy)]
    return sorted(decisions, key=lambda one: one.backup.id, reverse=True)


def _decide_on_series(backups: Sequence[BackupSummary], policy: Policy) -> list[Decision]:
    good = [each for each in backups if each.is_good]
    kept = _kept(good, policy)
    if good:
        kept.setdefault(good[0].id, []).append("the newest good one")
    kept_if_good = _kept(backups, policy)
    return [_decision(each, kept, kept_if_good) for each in backups]


def _decision(
    backup: BackupSummary, kept: dict[str, list[str]], kept_if_good: dict[str, list[str]]
) -> Decision:
    if backup.is_good:
        reasons = kept.get(backup.id, [])
        return Decision(backup, bool(reasons), ", ".join(reasons) or "no rule keeps it")
    reasons = kept_if_good.get(backup.id, [])
    would = ", ".join(reasons) if reasons else "no rule would keep it"
    return Decision(backup, bool(reasons), f"damaged; {would}")


def _kept(backups: Sequence[BackupSummary], policy: Policy) -> dict[str, list[str]]:
    """By id, the rules that keep it; `backups` are newest first."""
    kept: dict[str, list[str]] = {}
    for rule, period in _PERIODS.items():
        seen: set[str] = set()
        for backup in backups:
            name = period(backup)
            if name in seen:
                continue
            if len(seen) == getattr(policy, rule):
                break
            seen.add(name)
            kept.setdefault(backup.id, []).append(rule)
    return kept


def _moment(backup: BackupSummary) -> datetime:
    return datetime.fromtimestamp(started_at(backup.id), timezone.utc)


def _week(backup: BackupSummary) -> str:
    """The ISO 8601 week, whose year is not always the day's: 2024-12-30 is in 2025-W01."""
    year, week, _day = _moment(backup).isocalendar()
    return f"{year}-W{week:02}"


_PERIODS: dict[str, Callable[[BackupSummary], str]] = {
    "last": lambda backup: backup.id,
    "daily": lambda backup: f"{_moment(backup):%Y-%m-%d}",
    "weekly": _week,
    "monthly": lambda backup: f"{_moment(backup):%Y-%m}",
    "yearly": lambda backup: f"{_moment(backup):%Y}",
}

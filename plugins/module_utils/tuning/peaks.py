# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The most connections that everybody else had on each of the last days, in the state store."""

from __future__ import annotations

import contextlib
import json
from datetime import datetime, timedelta, timezone

from ..core.state_store import ABSENT, Entry, StateStore, VersionConflict
from .budget import Others
from .sessions import highest

# A week has one of each: the nightly backup, the weekly report, the working day.
DAYS = 7
_DAY = "%Y-%m-%d"


class Peaks:
    """One small record, `connections/<agent>`: the most of each of the last days, which are UTC."""

    def __init__(self, store: StateStore, agent: str) -> None:
        self._store = store
        self._key = f"connections/{agent}"

    def with_past(self, seen: Others, now: float, keep: bool = True) -> Others:
        """The most of now and of the last `DAYS` days; says of how many days it is.

        With `keep`, now is on record afterwards. A run that writes at the same moment may win; the
        next look makes up for it.
        """
        entry = self._store.read(self._key)
        before = _days(entry)
        recent = _recent(now)
        days = {day: before[day] for day in recent if day in before}
        if keep:
            today = recent[0]
            days[today] = highest([seen, days[today]] if today in days else [seen], "")
            if days != before:
                data = json.dumps({day: _plain(each) for day, each in days.items()}).encode()
                with contextlib.suppress(VersionConflict):
                    self._store.write(self._key, data, expect=entry.version if entry else ABSENT)
        if not days:
            return seen
        of = "most today" if len(days) == 1 else f"peak of {len(days)} days"
        return highest([seen, *days.values()], of)


def _recent(now: float) -> list[str]:
    """The dates that count, today's first."""
    today = datetime.fromtimestamp(now, timezone.utc)
    return [f"{today - timedelta(days=back):{_DAY}}" for back in range(DAYS)]


def _days(entry: Entry | None) -> dict[str, Others]:
    """What a record says; nothing where there is none, or one that this code did not write."""
    try:
        told = json.loads(entry.data) if entry else {}
        return {
            day: Others(int(each["server"]), int(each["role"]), int(each["database"]))
            for day, each in told.items()
        }
    except (AttributeError, ValueError, TypeError, KeyError):
        return {}


def _plain(others: Others) -> dict[str, int]:
    return {"server": others.server, "role": others.role, "database": others.database}

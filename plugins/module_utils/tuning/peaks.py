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
    """One small record a day, under `connections/<agent>/<date>.json`; dates are UTC."""

    def __init__(self, store: StateStore, agent: str) -> None:
        self._store = store
        self._prefix = f"connections/{agent}"

    def with_past(self, now_seen: Others, now: float) -> Others:
        """The most of now and of the last `DAYS` days; says of how many days it is."""
        entries = [self._store.read(key) for key in self._recent(now)]
        past = [found for entry in entries if (found := _told(entry)) is not None]
        if not past:
            return now_seen
        days = len(past)
        return highest([now_seen, *past], "most today" if days == 1 else f"peak of {days} days")

    def keep(self, seen: Others, now: float) -> None:
        """Raise today's record to this, and drop those that are too old.

        A run that writes at the same moment may win; the next look makes up for it.
        """
        today = f"{self._prefix}/{_moment(now):{_DAY}}.json"
        entry = self._store.read(today)
        before = _told(entry)
        wanted = seen if before is None else highest([before, seen], "")
        if before is not None and _plain(before) == _plain(wanted):
            return
        data = json.dumps(_plain(wanted), separators=(",", ":")).encode()
        with contextlib.suppress(VersionConflict):
            self._store.write(today, data, expect=entry.version if entry else ABSENT)
        if entry is None:
            recent = {*self._recent(now)}
            for key in self._store.list(self._prefix):
                if key not in recent:
                    self._store.delete(key)

    def _recent(self, now: float) -> list[str]:
        days = (_moment(now) - timedelta(days=back) for back in range(DAYS))
        return [f"{self._prefix}/{day:{_DAY}}.json" for day in days]


def _told(entry: Entry | None) -> Others | None:
    """What a record says; None where there is none, or one that no version of this code wrote."""
    try:
        plain = json.loads(entry.data) if entry else None
        if not plain:
            return None
        return Others(int(plain["server"]), int(plain["role"]), int(plain["database"]))
    except (ValueError, TypeError, KeyError):
        return None


_KEYS = ("server", "role", "database")


def _plain(others: Others) -> dict[str, int]:
    return {key: getattr(others, key) for key in _KEYS}


def _moment(now: float) -> datetime:
    return datetime.fromtimestamp(now, timezone.utc)

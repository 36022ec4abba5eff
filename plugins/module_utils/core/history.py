# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records kept for later runs: `<prefix>/<date>/<time>-<id>.json`.

Dates and times are UTC. Days older than the retention go when the first record of a new day is
written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

from .state_store import StateStore

_DAY = "%Y-%m-%d"
_DAY_S = 86400.0
# Up to this many days are listed one by one; more are cheaper found in one list of all.
_FEW_DAYS = 2


class History:
    """The records below a prefix such as `history/health/cost-agent` in a state store."""

    def __init__(self, store: StateStore, prefix: str, keep_days: int) -> None:
        self._store = store
        self._prefix = prefix
        self._keep_days = keep_days

    def append(self, record: dict[str, Any], now: float) -> None:
        """Write one record; on a day's first, drop the days beyond the retention."""
        moment = datetime.fromtimestamp(now, timezone.utc)
        day = f"{self._prefix}/{moment:{_DAY}}"
        is_first_today = not self._store.list(day)
        key = f"{day}/{moment:%H%M%S}.{moment.microsecond // 1000:03d}-{os.urandom(4).hex()}.json"
        self._store.write(key, json.dumps(record, separators=(",", ":")).encode())
        if is_first_today:
            self._prune(moment)

    def _prune(self, moment: datetime) -> None:
        oldest = f"{moment - timedelta(days=self._keep_days):{_DAY}}"
        for key in self._store.list(self._prefix):
            if key[len(self._prefix) + 1 :].partition("/")[0] < oldest:
                self._store.delete(key)

    def newest_first(
        self, now: float, up_to_s: float, from_s: float = 0.0
    ) -> Iterator[dict[str, Any]]:
        """The records between `from_s` and `up_to_s` seconds old, each read when it is asked for.

        What is not a record of this history is passed over.
        """
        for key in sorted(self._keys(now, up_to_s), reverse=True):
            age_s = now - _time_of(key)
            if not from_s <= age_s <= up_to_s:
                continue
            record = self._record(key)
            if record is not None:
                yield record

    def _keys(self, now: float, up_to_s: float) -> list[str]:
        if up_to_s > (_FEW_DAYS - 1) * _DAY_S:
            return self._store.list(self._prefix)
        days = {
            f"{datetime.fromtimestamp(then, timezone.utc):{_DAY}}" for then in (now, now - up_to_s)
        }
        return [key for day in days for key in self._store.list(f"{self._prefix}/{day}")]

    def _record(self, key: str) -> dict[str, Any] | None:
        entry = self._store.read(key)
        try:
            record = json.loads(entry.data) if entry else None
        except ValueError:
            return None
        return record if isinstance(record, dict) else None


def _time_of(key: str) -> float:
    """Seconds since the epoch in a key's date and time; 0 for a file of someone else's."""
    day, _slash, name = key.rpartition("/")
    try:
        moment = datetime.strptime(
            f"{day.rpartition('/')[2]} {name.partition('-')[0]}", f"{_DAY} %H%M%S.%f"
        )
    except ValueError:
        return 0.0
    return moment.replace(tzinfo=timezone.utc).timestamp()

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of the databases that stand beside another: `cost_agent_before_20250123020000`."""

from __future__ import annotations

import hashlib
from collections.abc import Container
from datetime import datetime, timezone

RESTORE = "restore"  # being filled by a restore
DRILL = "drill"  # a drill's scratch
BEFORE = "before"  # replaced by a swap, kept for undo
UNDONE = "undone"  # replaced by an undo

LONGEST_BYTES = 63  # NAMEDATALEN - 1: PostgreSQL cuts longer names without a word
_TIME = "%Y%m%d%H%M%S"
_DIGEST_DIGITS = 6


def name_beside(database: str, kind: str, now: float, taken: Container[str] = ()) -> str:
    """A free name beside `database`; `now` in seconds since the epoch.

    A name too long for it is cut, and gets a digest so that two databases with the same
    beginning never share one. Where the name is taken, it is the next second's.
    """
    while True:
        moment = datetime.fromtimestamp(now, timezone.utc)
        name = f"{_prefix(database, kind)}{moment:{_TIME}}"
        if name not in taken:
            return name
        now += 1


def moment_in(name: str, database: str, kind: str) -> float | None:
    """When a name of this kind was made for `database`, or None for any other name."""
    prefix = _prefix(database, kind)
    digits = name[len(prefix) :]
    if not name.startswith(prefix) or len(digits) != 14 or not digits.isascii():
        return None
    try:
        moment = datetime.strptime(digits, _TIME)
    except ValueError:
        return None
    return moment.replace(tzinfo=timezone.utc).timestamp()


def _prefix(database: str, kind: str) -> str:
    ending = f"_{kind}_"
    room = LONGEST_BYTES - len(ending) - 14
    encoded = database.encode()
    if len(encoded) <= room:
        return database + ending
    digest = hashlib.sha256(encoded).hexdigest()[:_DIGEST_DIGITS]
    cut = encoded[: room - 1 - len(digest)].decode(errors="ignore")
    return f"{cut}~{digest}{ending}"

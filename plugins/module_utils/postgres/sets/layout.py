# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a database's backups are in a repository.

    cost_agent/manifests/20250123T020000Z-5f2c.json    a finished set's manifest, written last
    cost_agent/sets/20250123T020000Z-5f2c/...          its data objects
    cost_agent/proofs/20250123T020000Z-5f2c.json       what verify and drill found
    cost_agent/catalog.json                            the summaries of all, a cache
    locks/...                                          who works on which database now

Manifests are in a folder of their own so that one request lists a thousand backups.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timezone
from urllib.parse import quote

_TIME = "%Y%m%dT%H%M%SZ"


def new_backup_id(now: float) -> str:
    """An id that sorts by time: `20250123T020000Z-5f2c91aa`; `now` in seconds since the epoch.

    Behind the dash are five digits of microseconds and three of chance: of two backups of one
    second the later one is the newer.
    """
    moment = datetime.fromtimestamp(now, timezone.utc)
    return f"{moment:{_TIME}}-{moment.microsecond:05x}{os.urandom(2).hex()[:3]}"


def started_at(backup_id: str) -> float:
    """When the backup of this id began, in seconds since the epoch; ValueError for another text."""
    moment = datetime.strptime(backup_id.partition("-")[0], _TIME)
    return moment.replace(tzinfo=timezone.utc).timestamp()


def is_backup_id(text: str) -> bool:
    """Whether this has the form of an id, which the name of a dump has not."""
    time, dash, rest = text.partition("-")
    try:
        started_at(time)
    except ValueError:
        return False
    return bool(dash) and rest.isalnum()


@dataclass(frozen=True)
class Layout:
    """The keys of one database's backups."""

    database: str

    @property
    def root(self) -> str:
        """The database's folder; its name is encoded, so that any name is one folder."""
        return quote(self.database, safe="").replace(".", "%2E")

    @property
    def manifests(self) -> str:
        return f"{self.root}/manifests/"

    @property
    def sets(self) -> str:
        return f"{self.root}/sets/"

    @property
    def proofs(self) -> str:
        return f"{self.root}/proofs/"

    @property
    def catalog(self) -> str:
        return f"{self.root}/catalog.json"

    @property
    def lock(self) -> str:
        """The name of the lock that backup and prune hold."""
        return f"postgres-backup-{self.root}"

    @property
    def restore_lock(self) -> str:
        """The name of the lock that restore, swap and undo hold."""
        return f"postgres-restore-{self.root}"

    @property
    def drill_lock(self) -> str:
        return f"postgres-drill-{self.root}"

    def manifest(self, backup_id: str) -> str:
        return f"{self.manifests}{backup_id}.json"

    def set(self, backup_id: str) -> str:
        return f"{self.sets}{backup_id}/"

    def proof(self, backup_id: str) -> str:
        return f"{self.proofs}{backup_id}.json"

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cache of what manifests and proofs say, each under the version it was read at.

    {"schema_version": 1, "sha256": "...", "said": {"manifests": {id: [version, {...}]},
     "proofs": {id: [version, {...}]}}}

What cannot be read, or is not what its checksum says, counts as empty.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

from ...core.state_store import ABSENT, VersionConflict
from ...repository import NoSuchObject, Repository
from .backup_summary import Facts, Marks
from .layout import Layout

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Cached:
    """By backup id, the version of the manifest or proof and what it said."""

    manifests: dict[str, tuple[str, Facts]] = field(default_factory=dict)
    proofs: dict[str, tuple[str, Marks]] = field(default_factory=dict)

    def marks(self, backup_id: str) -> Marks:
        """What the proof said; NEVER of both where there is none."""
        return self.proofs[backup_id][1] if backup_id in self.proofs else Marks()

    def still_true(self, manifests: dict[str, str], proofs: dict[str, str]) -> Cached:
        """What is known of the manifests and proofs that still have these versions."""
        return Cached(
            {k: v for k, v in self.manifests.items() if manifests.get(k) == v[0]},
            {k: v for k, v in self.proofs.items() if proofs.get(k) == v[0]},
        )


def read_cache(repository: Repository, layout: Layout) -> tuple[Cached, str]:
    """The cache, and the version to demand when replacing it."""
    try:
        entry = repository.read(layout.catalog)
    except NoSuchObject:
        return Cached(), ABSENT
    try:
        return _parse(entry.data), entry.version
    except (ValueError, KeyError, TypeError):
        return Cached(), entry.version


def write_cache(repository: Repository, layout: Layout, cached: Cached, expect: str) -> bool:
    """Replace the cache, unless another run has done so meanwhile; returns whether it did."""
    said = asdict(cached)
    values = {"schema_version": SCHEMA_VERSION, "sha256": _digest(said), "said": said}
    try:
        repository.write(layout.catalog, json.dumps(values).encode(), expect=expect)
    except VersionConflict:
        return False
    return True


def _parse(data: bytes) -> Cached:
    values = json.loads(data)
    said = values["said"]
    if values["schema_version"] != SCHEMA_VERSION or values["sha256"] != _digest(said):
        raise ValueError("another schema version, or damaged")
    return Cached(
        {k: (version, Facts(**facts)) for k, (version, facts) in said["manifests"].items()},
        {k: (version, Marks(**marks)) for k, (version, marks) in said["proofs"].items()},
    )


def _digest(said: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

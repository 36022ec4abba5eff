# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small backup sets, many of them, without a database."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.readable import utc_text
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets import (
    manifest as form,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.layout import (
    Layout,
    started_at,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.sealing import (
    read_recipients,
    seal,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.repository import Repository

DATABASE = "cost_agent"
LAYOUT = Layout(DATABASE)
ROWS = b"1\ttwo\n2\t\\N\n3\tfour\n"
FILES = {"toc.dat": b"PGDMP", "3401.dat": ROWS + b"\\.\n\n\n", "3402.dat": b"\\.\n\n\n"}
LARGE = b"".join(b"%d\tsome text of a row\n" % number for number in range(50_000)) + b"\\.\n\n\n"

PROPERTIES = form.DatabaseProperties("cost_agent", "UTF8", "C", "C", "c", "", -1, "", [], [])


def backup_id(moment: str | float, number: int = 0) -> str:
    """The id of a backup begun at this time: `2025-01-23 02:00` in UTC, or seconds."""
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()
    return f"{datetime.fromtimestamp(moment, UTC):%Y%m%dT%H%M%SZ}-{number:08x}"


def small_set(
    its_id: str, recipients: Sequence[str] = (), **changes: Any
) -> tuple[form.Manifest, dict[str, bytes]]:
    """A set's manifest, with these fields changed, and its objects by their names in the set.

    Small files are in bundle-0; one larger file has an object of its own.
    """
    keys = read_recipients(recipients)
    bundle = b""
    files = []
    for name, raw in {**FILES, "roles.sql": b"-- none"}.items():
        stored = seal(raw, 1, keys)
        files.append(_file(name, "bundle-0", len(bundle), stored, raw))
        bundle += stored
    stored = seal(LARGE, 1, keys)
    files.insert(0, _file("3403.dat", "3403.zst", 0, stored, LARGE))
    moment = utc_text(started_at(its_id))
    manifest = form.Manifest(
        schema_version=form.SCHEMA_VERSION,
        id=its_id,
        database=DATABASE,
        started_at=moment,
        finished_at=moment,
        duration_s=1.5,
        server_version=170004,
        pg_dump_version="17.4",
        lsn="0/0",
        properties=PROPERTIES,
        extensions=[],
        files=files[:-1],
        roles=files[-1],
        tables=[
            form.TableRows("public", "costs", 3, "3401.dat"),
            form.TableRows("public", "empty", 0, "3402.dat"),
            form.TableRows("public", "samples", 50_000, "3403.dat"),
        ],
        large_objects=0,
        compression="zstd-1",
        recipients=list(recipients),
        excluded_schemas=[],
        excluded_tables=[],
        made_by={},
    )
    return replace(manifest, **changes), {"3403.zst": stored, "bundle-0": bundle}


def store(
    repository: Repository,
    manifest: form.Manifest,
    objects: dict[str, bytes],
    finished: bool = True,
) -> form.Manifest:
    """Store a set, the manifest last; without it where the set is not to be `finished`."""
    layout = Layout(manifest.database)
    for name, data in objects.items():
        repository.write(layout.set(manifest.id) + name, data)
    if finished:
        repository.write(layout.manifest(manifest.id), form.render(manifest))
    return manifest


def make_sets(repository: Repository, ids: Iterable[str]) -> list[str]:
    """Store a small finished set of each id, several at a time."""
    wanted = list(ids)
    manifest, objects = small_set(backup_id(0))

    def make(its_id: str) -> None:
        store(repository, replace(manifest, id=its_id), objects)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(make, wanted))
    return wanted


def _file(name: str, key: str, offset: int, stored: bytes, raw: bytes) -> form.StoredFile:
    digest = hashlib.sha256(stored).hexdigest()
    return form.StoredFile(name, key, offset, len(stored), len(raw), digest)

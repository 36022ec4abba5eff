# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""postgres_backup: a database into a repository, unless a young enough backup is there."""

from __future__ import annotations

from contextlib import closing

from ..core.context import Context
from ..core.lock import Lease
from ..core.operation import Operation, Params
from ..core.readable import age_text, duration_text, size_text
from ..core.result import Result, Table
from ..repository import Repository, open_repository, state_store_of
from .backup.backup_options import BackupOptions, backup_arguments
from .backup.make_backup import Made, Programs, make_backup
from .record.backup_history import BACKUP
from .record.run_record import recorded
from .server.connection import connect
from .sets.catalog import list_backups, read_manifest, update_catalog
from .sets.layout import Layout
from .sets.manifest import Manifest

# pg_dump reads a table by one connection; from this share on that one decides how long it takes.
_ONE_TABLE_SHARE = 0.5


def _run(params: Params, context: Context) -> Result:
    options = BackupOptions.of(params)
    with closing(open_repository(params, context.clock)) as repository:
        if options.max_age_s is not None:
            fresh = _fresh_backup(repository, options, context.clock.now())
            if fresh is not None:
                return fresh
        if context.check_mode:
            return _would_back_up(options, repository)
        return _back_up(options, params, repository, context)


def _back_up(
    options: BackupOptions, params: Params, repository: Repository, context: Context
) -> Result:
    layout = Layout(options.database)
    purpose = f"backup of {options.database}"
    with recorded(BACKUP, params, repository, context.clock) as record:
        with Lease(state_store_of(repository), layout.lock, purpose, context.clock) as lease:
            aborted = repository.abort_uploads(layout.sets)
            made = make_backup(options, repository, context, lease)
            update_catalog(repository, layout)
        record.manifest = made.manifest
    return _backed_up(made, repository, aborted, record.notes)


def _fresh_backup(repository: Repository, options: BackupOptions, now: float) -> Result | None:
    """The result when the newest good backup of the same kind is young enough."""
    layout = Layout(options.database)
    for backup in list_backups(repository, layout, now):
        if not backup.is_good:
            continue
        if backup.age_s > (options.max_age_s or 0):
            return None
        manifest = read_manifest(repository, layout, backup.id)
        if _kind(manifest) == (
            options.exclude_schemas,
            options.exclude_tables,
            options.recipient_texts,
        ):
            age = age_text(backup.age_s)
            return Result(
                state=_state(manifest, repository),
                summary=f"backup {manifest.id} is {age} old, young enough",
            )
    return None


def _kind(manifest: Manifest) -> tuple[list[str], list[str], list[str]]:
    return manifest.excluded_schemas, manifest.excluded_tables, manifest.recipients


def _would_back_up(options: BackupOptions, repository: Repository) -> Result:
    """What check mode says, once everything that a backup needs is seen to be there."""
    wanted = f"back {options.database} up"
    with closing(connect(options.server, options.database, wanted)) as connection:
        Programs.find(connection.server_version, options.bin_dir)
    next(iter(repository.list(Layout(options.database).catalog)), None)
    return Result(
        changed=True,
        actions=[f"would back {options.database} up to {repository.url}"],
        summary=f"would back {options.database} up to {repository.url}",
    )


def _backed_up(made: Made, repository: Repository, aborted: int, notes: list[str]) -> Result:
    manifest = made.manifest
    actions = [f"backed {manifest.database} up to {repository.url} as {manifest.id}"]
    if aborted:
        actions.append(f"ended {aborted} unfinished uploads of earlier runs")
    state = _state(manifest, repository)
    state["peak_scratch_bytes"] = made.peak_scratch_bytes
    state["notes"] = notes
    share, table = _largest_share(manifest)
    if share > _ONE_TABLE_SHARE:
        notes.append(
            f"{table} is {share:.0%} of the data, and pg_dump reads a table by one connection: "
            "more jobs do not make this backup faster"
        )
    rate = manifest.raw_size / 1e6 / max(manifest.duration_s, 0.001)
    return Result(
        changed=True,
        actions=actions,
        state=state,
        summary=(
            f"{manifest.rows} rows, {size_text(manifest.raw_size)} as "
            f"{size_text(manifest.size)} in {duration_text(manifest.duration_s)}, {rate:.0f} MB/s"
        ),
        tables=[_largest_tables(manifest)],
        stats={"cost_agent_backup_id": manifest.id},
    )


def _state(manifest: Manifest, repository: Repository) -> dict[str, object]:
    return {
        "id": manifest.id,
        "database": manifest.database,
        "repository": repository.url,
        "started_at": manifest.started_at,
        "finished_at": manifest.finished_at,
        "duration_s": manifest.duration_s,
        "size_bytes": manifest.size,
        "raw_size_bytes": manifest.raw_size,
        "rows": manifest.rows,
        "tables": len(manifest.tables),
        "large_objects": manifest.large_objects,
        "server_version": manifest.server_version,
        "pg_dump_version": manifest.pg_dump_version,
        "lsn": manifest.lsn,
        "encrypted": bool(manifest.recipients),
        "objects": len(manifest.objects),
    }


def _largest_share(manifest: Manifest) -> tuple[float, str]:
    sizes = {file.name: file.raw_size for file in manifest.files}
    largest = max(manifest.tables, key=lambda each: sizes[each.file], default=None)
    if largest is None or not manifest.raw_size:
        return 0.0, ""
    return sizes[largest.file] / manifest.raw_size, f"{largest.schema}.{largest.name}"


def _largest_tables(manifest: Manifest) -> Table:
    files = {file.name: file for file in manifest.files}
    largest = sorted(manifest.tables, key=lambda each: files[each.file].raw_size, reverse=True)
    return Table(
        ["largest tables", "rows", "size", "stored"],
        [
            [
                f"{each.schema}.{each.name}",
                str(each.rows),
                size_text(files[each.file].raw_size),
                size_text(files[each.file].size),
            ]
            for each in largest[:5]
        ],
    )


POSTGRES_BACKUP = Operation("postgres_backup", backup_arguments(), _run)

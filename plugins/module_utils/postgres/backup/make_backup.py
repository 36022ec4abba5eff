# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One backup, from the snapshot to the manifest."""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ...core.context import Context
from ...core.errors import OperationError, Reason
from ...core.lock import Lease
from ...core.readable import utc_text
from ...core.scratch import scratch_folder
from ...core.version import VERSION
from ...core.watch import Watch
from ...repository import Repository
from ..server.child import Child, running
from ..server.programs import Program, find_program
from ..sets.layout import Layout, new_backup_id
from ..sets.manifest import SCHEMA_VERSION, Manifest, TableRows, render
from ..sets.set_writer import RateLimit, SetWriter
from ..sets.toc import TocEntry, UnreadableToc, read_toc
from .backup_options import BackupOptions
from .dump_pipeline import TOC, DumpPipeline, Totals, is_large_object
from .dump_program import dump_command, dump_failure, dump_roles
from .snapshot import Snapshot, find_blockers, hold_snapshot

ROLES = "roles.sql"
_MAX_WORKERS = 4
_LAST_WORDS_S = 5.0


@dataclass(frozen=True)
class Made:
    """A finished backup, and the most that its scratch folder held, in bytes."""

    manifest: Manifest
    peak_scratch_bytes: int


@dataclass(frozen=True)
class Programs:
    """PostgreSQL's programs that a backup runs, and the one that could restore it."""

    pg_dump: Program
    pg_dumpall: Program
    pg_restore: Program

    @classmethod
    def find(cls, server_version: int, bin_dir: str | None) -> Programs:
        """Raises `missing_program`."""
        pg_dump = find_program("pg_dump", server_version, bin_dir)
        return cls(pg_dump, pg_dump.beside("pg_dumpall"), pg_dump.beside("pg_restore"))


def make_backup(
    options: BackupOptions, repository: Repository, context: Context, lease: Lease
) -> Made:
    """Back the database up; when that fails, remove what was stored."""
    layout = Layout(options.database)
    started = context.clock.now()
    backup_id = new_backup_id(started)
    writer = SetWriter(
        repository,
        layout.set(backup_id),
        options.level,
        options.recipients,
        RateLimit(options.rate_limit, context.clock),
    )
    run = _Run(options, writer, context, lease)
    try:
        with hold_snapshot(options.server, options.database) as snapshot:
            programs = Programs.find(snapshot.server_version, options.bin_dir)
            with scratch_folder(options.scratch) as scratch:
                totals, tables = run.dump(snapshot, programs, scratch)
        finished = context.clock.now()
        files = {file.name: file for file in writer.files}
        manifest = Manifest(
            schema_version=SCHEMA_VERSION,
            id=backup_id,
            database=options.database,
            started_at=utc_text(started),
            finished_at=utc_text(finished),
            duration_s=round(finished - started, 3),
            server_version=snapshot.server_version,
            pg_dump_version=programs.pg_dump.version,
            lsn=snapshot.lsn,
            properties=snapshot.properties,
            extensions=snapshot.extensions,
            roles=files.pop(ROLES),
            files=sorted(files.values(), key=lambda file: file.name),
            tables=tables,
            large_objects=sum(map(is_large_object, files)),
            compression=f"zstd:{options.level}",
            recipients=options.recipient_texts,
            excluded_schemas=options.exclude_schemas,
            excluded_tables=options.exclude_tables,
            made_by=_made_by(),
        )
        repository.write(layout.manifest(backup_id), render(manifest))
    except BaseException:
        # What cannot be removed now has no manifest, so it is no backup; prune removes it. A
        # manifest whose writing failed may be there all the same: it goes first.
        with contextlib.suppress(OperationError):
            writer.abort(layout.manifest(backup_id))
        raise
    return Made(manifest, totals.peak_folder_bytes)


class _Run:
    """The dump itself, which is watched while it goes through the pipeline."""

    def __init__(
        self, options: BackupOptions, writer: SetWriter, context: Context, lease: Lease
    ) -> None:
        self._options = options
        self._writer = writer
        what = f"backup of {options.database}"
        self._watch = Watch(what, options.timeout_s, lease, context, phase="dump")
        self._estimate = 0

    def dump(
        self, snapshot: Snapshot, programs: Programs, folder: Path
    ) -> tuple[Totals, list[TableRows]]:
        """Everything but the manifest; the rows of each table in the dump."""
        options, writer = self._options, self._writer
        self._estimate = snapshot.size
        workers = min(_MAX_WORKERS, len(os.sched_getaffinity(0)))
        pipeline = DumpPipeline(folder, writer, workers)
        with contextlib.closing(pipeline):
            with self._running(programs.pg_dump, snapshot, folder) as child:
                roles = dump_roles(programs.pg_dumpall, options.server, options.database)
                writer.add_small(ROLES, roles)
                self._store(pipeline, child)
            toc = (folder / TOC).read_bytes()
            writer.add_small(TOC, toc)
            writer.finish()
        entries = self._whole(toc, folder, pipeline.totals)
        rows = pipeline.totals.rows
        tables = [
            TableRows(entry.schema, entry.tag, rows[entry.file], entry.file)
            for entry in entries
            if entry.kind == "TABLE DATA" and entry.file
        ]
        return pipeline.totals, sorted(tables, key=lambda each: (each.schema, each.name))

    def _whole(self, toc: bytes, folder: Path, totals: Totals) -> list[TocEntry]:
        """What the dump holds, once everything of it that has data is known to be stored."""
        wanted = f"back {self._options.database} up"
        try:
            entries = read_toc(toc)
        except UnreadableToc as error:
            raise OperationError(
                Reason.PRECONDITION,
                wanted,
                f"this collection cannot read what pg_dump wrote: {error}",
                "Name in bin_dir the folder of an older pg_dump that still fits the server, or"
                " use a newer version of this collection",
            ) from error
        stored = {file.name for file in self._writer.files}
        missing = sorted({each.file for each in entries if each.file} - stored)
        missing += sorted(name for name in os.listdir(folder) if name != TOC)
        objects = sum(is_large_object(name) for name in stored)
        if objects != totals.listed_objects:
            missing.append(f"{totals.listed_objects - objects} large objects")
        if missing:
            raise OperationError(
                Reason.INTEGRITY,
                wanted,
                f"pg_dump wrote what was not stored: {', '.join(missing[:3])}",
                "Run this again; if it fails the same way, report it with the version of pg_dump",
            )
        return entries

    def _store(self, pipeline: DumpPipeline, child: Child) -> None:
        try:
            code = pipeline.run(child, self._tick)
        except OperationError as error:
            # A worker that failed leaves its file without an end, and the leader says why.
            if error.reason is not Reason.INTEGRITY:
                raise
            try:
                code = child.wait(_LAST_WORDS_S)
            except subprocess.TimeoutExpired:
                raise error from None
            if code == 0:
                raise
        if code != 0:
            raise self._failure(code, child.said())

    def _running(
        self, pg_dump: Program, snapshot: Snapshot, folder: Path
    ) -> contextlib.AbstractContextManager[Child]:
        options = self._options
        command = dump_command(
            pg_dump,
            folder,
            snapshot.id,
            options.jobs,
            options.lock_timeout_s,
            options.exclude_schemas,
            options.exclude_tables,
        )
        return running(command, options.server.environment(options.database))

    def _tick(self, totals: Totals) -> None:
        self._watch.moving(totals.raw_bytes, max(self._estimate, totals.raw_bytes))

    def _failure(self, code: int, said: str) -> OperationError:
        wanted = f"back {self._options.database} up"
        failure = dump_failure(wanted, "pg_dump", code, said)
        if failure.reason is not Reason.LOCKED:
            return failure
        blockers = find_blockers(self._options.server, self._options.database)
        return OperationError(
            Reason.LOCKED,
            f"{wanted}, waiting {self._options.lock_timeout_s:g} s for its tables",
            "; ".join(blockers) or failure.seen,
            failure.next_step,
            **failure.details,
        )


def _made_by() -> dict[str, str]:
    """Who and what runs this."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a uid without a name
        user = str(os.getuid())
    return {"user": user, "host": socket.gethostname(), "collection": VERSION}

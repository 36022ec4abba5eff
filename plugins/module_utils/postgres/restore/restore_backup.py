# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup of this collection into a new database, proved row by row."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from ...core.clock import Clock
from ...core.errors import OperationError, Reason
from ...core.result import Table
from ...core.scratch import scratch_folder
from ...core.watch import Watch
from ...repository import Repository
from ..server import statements
from ..server.database_properties import apply_properties
from ..server.maintenance_database import connect_beside
from ..server.programs import Program, find_program
from ..sets.manifest import DatabaseProperties, Manifest, TableRows
from ..sets.stored_files import StoredFiles
from ..sets.toc import TocEntry, UnreadableToc, read_toc
from .archive_restore import TOC, ArchiveRestore
from .new_database import Marker, new_database, subscription_notes
from .pg_restore import PgRestore
from .restore_checks import (
    Target,
    check_disk,
    check_extensions,
    check_objects,
    check_owners,
    check_roles,
    check_target,
    check_version,
    free_bytes,
    look_at,
)
from .restore_options import RestoreOptions
from .restore_roles import owners_in, roles_in, statements_for, with_their_groups
from .row_loading import Rows

_MOST_SHOWN = 50


@dataclass(frozen=True)
class Restored:
    """A filled database; the seconds that took, and sentences on what it lacks."""

    name: str
    rows: int
    tables: int
    load_s: float
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    """What was found to be there before anything is created.

    `properties` are what the new database is to have; `free` the free bytes on the server's disk,
    None where unknown, of which about `needed` are taken; `to_create` are roles.
    """

    target: Target
    properties: DatabaseProperties
    program: Program
    free: int | None
    needed: int
    to_create: list[str]

    def pg_restore(self, options: RestoreOptions, name: str) -> PgRestore:
        """The program, for the new database `name`."""
        version = self.target.version
        return PgRestore(self.program, options.server, version, name, options.owners)


class BackupRestore:
    """One backup, for one restore of it."""

    def __init__(
        self, options: RestoreOptions, repository: Repository, manifest: Manifest, clock: Clock
    ) -> None:
        """Raises `precondition` when the backup is encrypted and there is no key."""
        self._options = options
        self._repository = repository
        self._clock = clock
        self.manifest = manifest
        self.wanted = f"restore backup {manifest.id} of {manifest.database}"
        if manifest.recipients and options.identities is None:
            raise OperationError(
                Reason.PRECONDITION,
                self.wanted,
                f"it is encrypted to {', '.join(manifest.recipients)}",
                "Give the private key of one of them in identity or identity_file",
            )
        identities = options.identities if manifest.recipients else None
        self._files = StoredFiles(repository, manifest, identities)

    @property
    def backup(self) -> str:
        """What is restored, for messages."""
        return self.manifest.id

    def check(self) -> Plan:
        """Raise what stands in the way, before anything is changed anywhere."""
        options, manifest = self._options, self.manifest
        beside = connect_beside(options.server, (options.database,), self.wanted)
        with contextlib.closing(beside) as connection:
            target = look_at(connection, self.wanted)
        check_target(target, self.wanted)
        check_version(target, manifest, self.wanted)
        check_extensions(target, manifest.extensions, self.wanted)
        newest = max(target.version, manifest.server_version, _number(manifest.pg_dump_version))
        program = find_program("pg_restore", newest, options.bin_dir)
        check_objects(self._repository, manifest, self.wanted)
        free = free_bytes(target)
        if options.check_disk:
            check_disk(free, manifest.raw_size, self.wanted)
        properties = manifest.properties
        if not options.owners:
            properties = replace(properties, owner=target.user, grants=[])
        script = self._files.read(manifest.roles.name)  # whole, though it may not be needed
        roles = self._roles_to_create(target, script.decode())
        return Plan(target, properties, program, free, manifest.raw_size, roles)

    def _roles_to_create(self, target: Target, script: str) -> list[str]:
        if not self._options.owners:
            return []
        entries = self._entries()
        needed = roles_in(entries, self.manifest.properties)
        if not self._options.create_roles or not target.is_superuser:
            check_roles(target, needed, self.wanted)
        check_owners(target, owners_in(entries) | {self.manifest.properties.owner}, self.wanted)
        return with_their_groups(script, sorted(needed - target.roles), target.roles)

    def _entries(self) -> list[TocEntry]:
        try:
            return read_toc(self._files.read(TOC))
        except UnreadableToc:  # of a newer PostgreSQL: pg_restore knows it
            return []

    @contextlib.contextmanager
    def into(self, name: str, purpose: str, plan: Plan, watch: Watch) -> Iterator[Restored]:
        """Fill the new database `name` and compare its rows; drop it when the block raises.

        It keeps the mark of its `purpose` (see `Marker`) until its properties are applied.
        Raises `integrity` with a table of the differences.
        """
        options, manifest = self._options, self.manifest
        marker = Marker.of_this_run(
            purpose, options.database, manifest.id, self._clock, options.timeout_s
        )
        self._create_roles(plan)
        with new_database(options.server, name, plan.properties, marker) as notes:
            began = watch.deadline.elapsed
            self._compare(self._load(name, plan, watch))
            loaded = watch.deadline.elapsed
            yield Restored(
                name=name,
                rows=manifest.rows,
                tables=len(manifest.tables),
                load_s=round(loaded - began, 3),
                notes=[*notes, *_role_notes(plan.to_create)],
            )

    def finish(self, name: str, plan: Plan) -> list[str]:
        """Give the database the properties that the backed up one had; what it lacks of them."""
        beside = connect_beside(self._options.server, (name,), self.wanted)
        with contextlib.closing(beside) as connection:
            notes = apply_properties(connection, name, plan.properties)
            return [*notes, *subscription_notes(connection, name)]

    def _load(self, name: str, plan: Plan, watch: Watch) -> Rows:
        options, total = self._options, self.manifest.raw_size
        restore = ArchiveRestore(plan.pg_restore(options, name), options.jobs)
        with scratch_folder(options.scratch) as folder:
            return restore.run(
                self._files, folder, self._clock, lambda loaded: watch.moving(loaded, total)
            )

    def _compare(self, rows: Rows) -> None:
        loaded = [(each, rows.get(each.file, 0)) for each in self.manifest.tables]
        differ = [(each, found) for each, found in loaded if each.rows != found]
        if differ:
            raise _rows_differ(self.wanted, differ)

    def _create_roles(self, plan: Plan) -> None:
        if not plan.to_create:
            return
        wanted = f"create role {', '.join(plan.to_create)}"
        script = self._files.read(self.manifest.roles.name).decode()
        with contextlib.closing(connect_beside(self._options.server, (), wanted)) as connection:
            for statement in statements_for(script, plan.to_create, plan.target.roles):
                statements.run(connection, statement, wanted)


def _number(version: str) -> int:
    """PostgreSQL's number for the major version in a text such as "17.4"."""
    major = version.partition(".")[0]
    return int(major) * 10000 if major.isdigit() else 0


def _role_notes(names: list[str]) -> list[str]:
    if not names:
        return []
    return [f"created role {', '.join(names)} without a password: give each one that logs in one"]


def _rows_differ(wanted: str, differ: list[tuple[TableRows, int]]) -> OperationError:
    shown = [
        {"table": f"{table.schema}.{table.name}", "expected": table.rows, "found": found}
        for table, found in differ[:_MOST_SHOWN]
    ]
    table = Table(
        ["table", "in the backup", "restored"],
        [[str(value) for value in each.values()] for each in shown],
    )
    first = shown[0]
    return OperationError(
        Reason.INTEGRITY,
        wanted,
        f"{len(differ)} tables took other rows than the backup has, such as {first['table']}: "
        f"{first['found']} of {first['expected']}",
        "Restore another backup; postgres_backup_verify tells which ones are whole",
        state={"differences": shown},
        tables=[vars(table)],
    )

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup is made of. The manifest is written last: a set without one is not a backup."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from ...core.errors import OperationError, Reason

SCHEMA_VERSION = 1
# How the data of a table ends in its file, after a line for each row: no row is among these lines.
END_OF_ROWS = b"\\.\n\n\n"


@dataclass(frozen=True)
class StoredFile:
    """One file of the dump, and where its bytes are: `size` bytes of `object` from `offset`.

    The stored bytes are zstd frames of the file one after the other, inside one age file where
    the backup is encrypted. `sha256` is of the stored bytes, `raw_size` of the file itself.
    """

    name: str
    object: str
    offset: int
    size: int
    raw_size: int
    sha256: str


@dataclass(frozen=True)
class TableRows:
    """A table whose data is in the backup, and its exact number of rows."""

    schema: str
    name: str
    rows: int
    file: str


@dataclass(frozen=True)
class Extension:
    """An extension that the database uses."""

    name: str
    version: str


@dataclass(frozen=True)
class DatabaseProperties:
    """What `CREATE DATABASE` and `ALTER DATABASE` gave the database; pg_dump leaves it out.

    `settings` are [role or "", "name=value"] of pg_db_role_setting; `grants` are
    [grantee or "" for PUBLIC, privilege, with grant option]; `locale_provider` is
    pg_database.datlocprovider (c, i, b); `locale` its own locale where it has one, `icu_rules`
    its own collation rules. `tablespace` is where its tables are by default.
    """

    owner: str
    encoding: str
    collate: str
    ctype: str
    locale_provider: str
    locale: str
    connection_limit: int
    comment: str
    settings: list[list[str]]
    grants: list[list[Any]]
    icu_rules: str = ""
    tablespace: str = "pg_default"


@dataclass(frozen=True)
class Manifest:
    """One backup. Times are ISO 8601 in UTC; `lsn` is the server's at the snapshot.

    `files` are the dump's own (toc.dat, 3412.dat, ...); `roles` is the file with the server's
    roles and their memberships as SQL, without passwords. `recipients` are the age public keys
    that the backup is encrypted to, empty when it is not. `server_version` is PostgreSQL's
    number, such as 170004.
    """

    schema_version: int
    id: str
    database: str
    started_at: str
    finished_at: str
    duration_s: float
    server_version: int
    pg_dump_version: str
    lsn: str
    properties: DatabaseProperties
    extensions: list[Extension]
    files: list[StoredFile]
    roles: StoredFile
    tables: list[TableRows]
    large_objects: int
    compression: str
    recipients: list[str]
    excluded_schemas: list[str]
    excluded_tables: list[str]
    made_by: dict[str, str]

    @property
    def rows(self) -> int:
        """Rows of all tables."""
        return sum(table.rows for table in self.tables)

    @property
    def size(self) -> int:
        """Stored bytes of all files."""
        return sum(file.size for file in self.files) + self.roles.size

    @property
    def raw_size(self) -> int:
        """Bytes of all files of the dump."""
        return sum(file.raw_size for file in self.files) + self.roles.raw_size

    @property
    def objects(self) -> list[str]:
        """The data objects of the set, once each, sorted."""
        return sorted({file.object for file in [*self.files, self.roles]})


def render(manifest: Manifest) -> bytes:
    """The manifest as it is stored: JSON, one line."""
    return json.dumps(asdict(manifest), separators=(",", ":"), ensure_ascii=False).encode()


def parse(data: bytes, where: str) -> Manifest:
    """The manifest in `data`, which was read from `where`.

    Raises `integrity` when it is truncated or not a manifest, and `precondition` when a newer
    version of this collection wrote it.
    """
    wanted = f"read the manifest {where}"
    try:
        values = json.loads(data)
        version = values["schema_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(wanted, f"it is not a manifest ({type(error).__name__})") from error
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise OperationError(
            Reason.PRECONDITION,
            wanted,
            f"it has schema version {version} and this collection knows {SCHEMA_VERSION}",
            "Use the version of the collection that made this backup, or a newer one",
        )
    try:
        return _manifest(values)
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(wanted, f"it lacks or misnames something: {error}") from error


def _manifest(values: dict[str, Any]) -> Manifest:
    parts = {
        "properties": DatabaseProperties(**values["properties"]),
        "extensions": [Extension(**each) for each in values["extensions"]],
        "files": [StoredFile(**each) for each in values["files"]],
        "roles": StoredFile(**values["roles"]),
        "tables": [TableRows(**each) for each in values["tables"]],
    }
    return Manifest(**{**values, **parts})


def _damaged(wanted: str, seen: str) -> OperationError:
    return OperationError(
        Reason.INTEGRITY,
        wanted,
        seen,
        "Use another backup; postgres_backup_verify tells which ones are whole",
    )

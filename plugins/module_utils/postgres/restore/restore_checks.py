# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold before a restore creates anything, each with an error of its own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.errors import OperationError, Reason
from ...core.readable import size_text
from ...repository import Repository
from ..server.statements import rows
from ..sets.layout import Layout
from ..sets.manifest import Extension, Manifest

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

# A dump in text against its tables and indexes: 1.39 for the benchmark's data; less where most is
# bytea, or compressed by TOAST. Below the dump's own size no usual database fits.
DISK_PER_RAW_BYTE = 1.0
_OF_EVERY_DATABASE = {"plpgsql"}
_POSTMASTER_PORT_LINE = 3

_ROLE = """
    SELECT rolname, rolsuper, rolsuper OR rolcreatedb, pg_is_in_recovery(),
           current_setting('port')::int
    FROM pg_roles WHERE rolname = current_user
"""
# Giving something to a role takes SET ROLE, which PostgreSQL 16 told apart from membership.
_ROLES = """
    SELECT rolname, pg_has_role(oid, CASE WHEN current_setting('server_version_num')::int >= 160000
                                          THEN 'SET' ELSE 'MEMBER' END)
    FROM pg_roles
"""
_EXTENSIONS = """
    SELECT e.name, v.superuser AND NOT {trusted}
    FROM pg_available_extensions e JOIN pg_available_extension_versions v
        ON v.name = e.name AND v.version = e.default_version
"""
_DATA_DIRECTORY = """
    SELECT setting FROM pg_settings WHERE name = 'data_directory'
"""


@dataclass(frozen=True)
class Target:
    """The server to restore into, and what its user may do there.

    `extensions` are those that can be installed, and whether that takes a superuser; `givable`
    the roles that this user may make owners. `data_directory` is None where it is hidden.
    """

    version: int
    port: int
    user: str
    is_superuser: bool
    may_create: bool
    is_standby: bool
    roles: frozenset[str]
    givable: frozenset[str]
    extensions: dict[str, bool]
    data_directory: str | None

    @property
    def major(self) -> int:
        return self.version // 10000


def look_at(connection: Connection, wanted: str) -> Target:
    """The server as this connection's user sees it."""
    ((user, is_superuser, may_create, is_standby, port),) = rows(connection, _ROLE, None, wanted)
    roles = rows(connection, _ROLES, None, wanted)
    trusted = "v.trusted" if connection.server_version >= 130000 else "false"
    directory = rows(connection, _DATA_DIRECTORY, None, wanted)
    return Target(
        version=connection.server_version,
        port=port,
        user=user,
        is_superuser=is_superuser,
        may_create=may_create,
        is_standby=is_standby,
        roles=frozenset(name for name, _givable in roles),
        givable=frozenset(name for name, givable in roles if givable),
        extensions=dict(rows(connection, _EXTENSIONS.format(trusted=trusted), None, wanted)),
        data_directory=directory[0][0] if directory else None,
    )


def check_target(target: Target, wanted: str) -> None:
    """Raise unless this user may create a database there: `auth`, or `precondition` (standby)."""
    if target.is_standby:
        raise _precondition(
            wanted,
            "the server is a standby, where nothing can be changed",
            "Give the address of the primary server",
        )
    if not target.may_create:
        raise OperationError(
            Reason.AUTH,
            wanted,
            f"{target.user} has no right to create databases",
            f"ALTER ROLE {target.user} CREATEDB, or use a superuser",
        )


def check_version(target: Target, manifest: Manifest, wanted: str) -> None:
    """Raise `precondition` when the server's major version is older than the backup's."""
    backed_up = manifest.server_version // 10000
    if target.major < backed_up:
        raise _precondition(
            wanted,
            f"the backup is of PostgreSQL {backed_up} and this server is PostgreSQL {target.major}",
            f"Restore into a server of PostgreSQL {backed_up} or newer",
        )


def check_extensions(target: Target, extensions: Collection[Extension], wanted: str) -> None:
    """Raise when the server lacks an extension (`precondition`) or its user may not (`auth`)."""
    needed = sorted(each.name for each in extensions if each.name not in _OF_EVERY_DATABASE)
    missing = [name for name in needed if name not in target.extensions]
    if missing:
        raise _precondition(
            wanted,
            f"the server has no extension {', '.join(missing)}",
            "Install the package of each on the server",
        )
    reserved = [name for name in needed if target.extensions[name] and not target.is_superuser]
    if reserved:
        raise OperationError(
            Reason.AUTH,
            wanted,
            f"only a superuser may create extension {', '.join(reserved)}",
            "Restore as a superuser",
        )


def check_owners(target: Target, owners: Collection[str], wanted: str) -> None:
    """Raise `auth` when this user may not give what it restores to these owners."""
    others = sorted(set(owners) - target.givable)
    if others and not target.is_superuser:
        raise OperationError(
            Reason.AUTH,
            wanted,
            f"{', '.join(others)} owns parts of it, and {target.user} may not act as such",
            f"Restore as a superuser, or with owners: false, so that all is {target.user}'s",
        )


def check_roles(target: Target, needed: Collection[str], wanted: str) -> None:
    """Raise `precondition` when roles that the backup refers to are not on the server."""
    missing = sorted(set(needed) - target.roles)
    if missing:
        raise _precondition(
            wanted,
            f"the server has no role {', '.join(missing)}",
            "As a superuser, give create_roles: true; or owners: false to restore without owners"
            " and grants",
        )


def check_objects(repository: Repository, manifest: Manifest, wanted: str) -> None:
    """Raise `integrity` unless all data objects are there in full size; one listing."""
    folder = Layout(manifest.database).set(manifest.id)
    sizes = {each.key: each.size for each in repository.list(folder)}
    needed: dict[str, int] = {}
    for file in [*manifest.files, manifest.roles]:
        key = folder + file.object
        needed[key] = max(needed.get(key, 0), file.offset + file.size)
    for key, size in sorted(needed.items()):
        if sizes.get(key) == size:
            continue
        seen = f"has {sizes[key]} of {size} bytes" if key in sizes else "is not there"
        raise OperationError(
            Reason.INTEGRITY,
            wanted,
            f"object {key} in {repository.url} {seen}",
            "Use another backup; postgres_backup_verify tells which ones are whole",
            state={"backup": manifest.id, "object": key},
        )


def free_bytes(target: Target) -> int | None:
    """Free bytes where the server keeps its data; None where that cannot be known from here.

    It is this machine's folder only if a server of the same port has its pid file in it.
    """
    if target.data_directory is None:
        return None
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = Path(target.data_directory, "postmaster.pid").read_text().splitlines()
        if int(lines[_POSTMASTER_PORT_LINE]) == target.port:
            disk = os.statvfs(target.data_directory)
            return disk.f_bavail * disk.f_frsize
    return None


def check_disk(free: int | None, raw_size: int, wanted: str) -> None:
    """Raise `budget` when the dump cannot fit into the free bytes; None of them is unknown."""
    needed = int(raw_size * DISK_PER_RAW_BYTE)
    if free is not None and free < needed:
        raise OperationError(
            Reason.BUDGET,
            wanted,
            f"it takes about {size_text(needed)}, and the server's disk has {size_text(free)} free",
            "Make room there; where you know better, give check_disk: false",
        )


def _precondition(wanted: str, seen: str, next_step: str) -> OperationError:
    return OperationError(Reason.PRECONDITION, wanted, seen, next_step)

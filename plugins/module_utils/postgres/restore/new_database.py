# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database that is being filled, marked so that a later run removes what a killed one left."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Container, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ...core.clock import Clock
from ...core.errors import OperationError, Reason
from ...core.lock import Holder
from ..server.connection import Server, connect
from ..server.database_names import DRILL, RESTORE, moment_in
from ..server.database_properties import comment_statement, create_database
from ..server.maintenance_database import connect_beside
from ..server.statements import rows, run
from ..sets.manifest import DatabaseProperties

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

_MADE_BY = "optiinfra.cost_agent"
_DATABASES = """
    SELECT datname, datallowconn, coalesce(shobj_description(oid, 'pg_database'), '')
    FROM pg_database WHERE NOT datistemplate ORDER BY datname
"""

_SUBSCRIPTIONS = """
    SELECT s.subname FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid
    WHERE d.datname = %s ORDER BY 1
"""


@dataclass(frozen=True)
class Marker:
    """The comment of a database that is being filled: for what, from which backup, by whom.

    `database` is the one that the backup is of.
    """

    purpose: str
    database: str
    backup: str
    holder: Holder

    @classmethod
    def of_this_run(
        cls, purpose: str, database: str, backup: str, clock: Clock, valid_s: float
    ) -> Marker:
        """Of this process, for at most `valid_s` seconds."""
        holder = Holder.of_this_process(purpose, clock.now(), valid_s)
        return cls(purpose, database, backup, holder)

    def render(self) -> str:
        return json.dumps({"made_by": _MADE_BY, **asdict(self)})


def read_marker(comment: str) -> Marker | None:
    """The marker in a database's comment, or None for another comment."""
    try:
        values = json.loads(comment)
        if values.pop("made_by") != _MADE_BY:
            return None
        return Marker(**{**values, "holder": Holder(**values["holder"])})
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


@contextlib.contextmanager
def new_database(
    server: Server, name: str, properties: DatabaseProperties, marker: Marker
) -> Iterator[list[str]]:
    """Create a database for the block; when the block raises, drop it.

    Gives what is not as in the properties, as sentences. Nobody can connect to it before it has
    its mark. Raises `precondition` (name taken, locale not there), `auth`, `unreachable`.
    """
    with contextlib.closing(
        connect_beside(server, (name,), f"create database {name}")
    ) as connection:
        notes = create_database(connection, name, properties, allow_connections=False)
        try:
            _mark(connection, name, marker)
            yield notes
        except BaseException:
            # What cannot be dropped now is dropped by the next run: it is marked.
            with contextlib.suppress(OperationError):
                drop_database(server, name)
            raise


def drop_database(server: Server, name: str) -> None:
    """Drop a database, ending the sessions that it has; nothing where there is none."""
    with contextlib.closing(connect_beside(server, (name,), f"drop database {name}")) as connection:
        _drop(connection, server, name)


def drop_leftovers(server: Server, database: str, clock: Clock) -> tuple[list[str], list[str]]:
    """Drop what killed restores and drills of `database` left; names, and sentences on the rest."""
    dropped, notes = [], []
    with contextlib.closing(
        connect_beside(server, (database,), f"look for leftovers of {database}")
    ) as connection:
        left, unmarked = find_leftovers(connection, database, clock.now())
        for name in left:
            try:
                _drop(connection, server, name)
                dropped.append(name)
            except OperationError as error:
                notes.append(f"{name}, which a killed run left, cannot be dropped: {error.seen}")
    notes += [
        f"{name} has no mark of a run and is kept: drop it if it is nobody's" for name in unmarked
    ]
    return dropped, notes


def find_leftovers(
    connection: Connection, database: str, now: float
) -> tuple[list[str], list[str]]:
    """The databases that a run which is gone was filling, and those that may be some.

    The latter are named like one and closed, but have no mark: whoever made it may have ended
    before it had one, or an administrator has closed a copy. `now` in seconds since the epoch.
    """
    left, unmarked = [], []
    for name, is_open, comment in rows(
        connection, _DATABASES, None, f"look for leftovers of {database}"
    ):
        marker = read_marker(comment)
        if marker is not None:
            if marker.database == database and marker.holder.is_gone(now):
                left.append(name)
        elif not is_open and any(moment_in(name, database, kind) for kind in (RESTORE, DRILL)):
            unmarked.append(name)
    return left, unmarked


def _mark(connection: Connection, name: str, marker: Marker) -> None:
    from psycopg2 import sql

    wanted = f"mark database {name}"
    run(connection, comment_statement(name, marker.render()), wanted)
    statement = sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS true")
    run(connection, statement.format(sql.Identifier(name)), wanted)


def _drop(connection: Connection, server: Server, name: str) -> None:
    from psycopg2 import sql

    wanted = f"drop database {name}"
    subscriptions = [each for (each,) in rows(connection, _SUBSCRIPTIONS, [name], wanted)]
    if subscriptions:
        _drop_subscriptions(connection, server, name, subscriptions)
    statement = "DROP DATABASE IF EXISTS {} WITH (FORCE)"
    if connection.server_version < 130000:
        statement = "DROP DATABASE IF EXISTS {}"
        terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        rows(connection, terminate, [name], f"end the sessions of database {name}")
    run(connection, sql.SQL(statement).format(sql.Identifier(name)), wanted)


def subscription_notes(beside: Connection, name: str) -> list[str]:
    """A sentence on the subscriptions that came back with a database: pg_dump has them disabled."""
    found = rows(beside, _SUBSCRIPTIONS, [name], f"list the subscriptions of {name}")
    return [
        f"subscription {each} is disabled; it would go on where that of the backed up database"
        " has come to, so drop it, and make it again with the rows that it is to have"
        for (each,) in found
    ]


def _drop_subscriptions(
    beside: Connection, server: Server, name: str, subscriptions: list[str]
) -> None:
    """A database that has one cannot be dropped; what it receives from is not asked."""
    from psycopg2 import sql

    wanted = f"drop the subscriptions of database {name}"
    database = sql.Identifier(name)
    run(beside, sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS true").format(database), wanted)
    with contextlib.closing(connect(server, name, wanted)) as connection:
        for subscription in subscriptions:
            for statement in (
                "ALTER SUBSCRIPTION {} DISABLE",
                "ALTER SUBSCRIPTION {} SET (slot_name = NONE)",
                "DROP SUBSCRIPTION {}",
            ):
                each = sql.SQL(statement).format(sql.Identifier(subscription))
                run(connection, each, wanted)


def database_names(connection: Connection, wanted: str) -> set[str]:
    """The databases of the server."""
    return {name for (name,) in rows(connection, "SELECT datname FROM pg_database", None, wanted)}


def check_name_is_free(name: str, taken: Container[str], wanted: str) -> None:
    """Raise `precondition` when the server has a database of this name."""
    if name in taken:
        raise OperationError(
            Reason.PRECONDITION,
            wanted,
            f"there is a database {name} already",
            "Give another name in target, or drop that database first",
        )

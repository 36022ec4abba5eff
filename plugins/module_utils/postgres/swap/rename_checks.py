# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in the way of renaming a database, looked at before anybody notices."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ...core.clock import Clock
from ...core.deadline import Deadline, backoff, poll
from ...core.errors import OperationError, Reason
from ..server.statements import rows

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

# A monitoring query of a superuser comes and goes; a session that stays longer is somebody's.
_PASSING_SESSION_S = 3.0

# pg_terminate_backend(): a superuser's sessions are a superuser's to end, others also those
# roles' that this one has the privileges of, and pg_signal_backend's.
MAY_END = """
    coalesce((SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
             OR (NOT r.rolsuper AND (pg_has_role(r.oid, 'USAGE')
                                     OR pg_has_role('pg_signal_backend', 'USAGE'))), false)
"""
# Autovacuum has no user, and gives way to RENAME by itself. What pg_stat_activity shows to
# everybody is the database, the pid and the user; the rest may be NULL.
_SESSIONS = f"""
    SELECT s.pid, coalesce(r.rolname, s.usesysid::text), coalesce(s.application_name, ''),
           coalesce(host(s.client_addr), 'local'), coalesce(s.state, ''), {MAY_END}
    FROM pg_stat_activity s LEFT JOIN pg_roles r ON r.oid = s.usesysid
    WHERE s.datname = ANY(%s) AND s.usesysid IS NOT NULL AND s.pid <> pg_backend_pid()
    ORDER BY s.pid
"""
_ROLE = """
    SELECT pg_is_in_recovery(), rolname, rolsuper OR rolcreatedb
    FROM pg_roles WHERE rolname = current_user
"""
_OWNED = """
    SELECT datname, pg_get_userbyid(datdba), pg_has_role(datdba, 'USAGE')
    FROM pg_database WHERE datname = ANY(%s)
"""
_BOUND = """
    SELECT 'the prepared transaction ' || gid, 'commit it or roll it back'
    FROM pg_prepared_xacts WHERE database = ANY(%(names)s)
    UNION ALL
    SELECT 'the logical replication slot ' || slot_name,
           'drop it, and make it again in the new database'
    FROM pg_replication_slots WHERE database = ANY(%(names)s)
    UNION ALL
    SELECT 'the subscription ' || subname, 'disable it, and make it again in the new database'
    FROM pg_subscription JOIN pg_database d ON d.oid = subdbid
    WHERE d.datname = ANY(%(names)s) AND subenabled
"""


@dataclass(frozen=True)
class Session:
    """A session of a database; what this user may not see is empty."""

    pid: int
    user: str
    application_name: str
    client: str
    state: str
    may_be_ended: bool

    def __str__(self) -> str:
        program = f", {self.application_name}" if self.application_name else ""
        return f"pid {self.pid} ({self.user} from {self.client}{program})"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def check_may_swap(
    connection: Connection, databases: list[str], deadline: Deadline, clock: Clock
) -> None:
    """Raise unless this user may rename those of `databases` that exist, now.

    `auth`: not owner, no CREATEDB. `precondition`: a standby; a prepared transaction, logical
    slot or enabled subscription that would stay with the old database. `locked`: sessions that this
    user may not end and that stay for more than 3 s.
    """
    wanted = f"rename {' and '.join(databases)}"
    _check_role(connection, databases, wanted)
    bound = rows(connection, _BOUND, {"names": databases}, wanted)
    if bound:
        raise OperationError(
            Reason.PRECONDITION,
            wanted,
            f"{' and '.join(what for what, _todo in bound)} would stay with the old database",
            f"For each, {bound[0][1]}, then run this again",
        )

    def foreign() -> list[Session]:
        return [each for each in sessions(connection, databases) if not each.may_be_ended]

    def gone() -> bool | None:
        return None if foreign() else True

    passing = Deadline(clock, min(_PASSING_SESSION_S, deadline.remaining))
    if not poll(gone, passing, clock, backoff(0.05, longest=0.25)):
        raise held(wanted, foreign())


def _check_role(connection: Connection, databases: list[str], wanted: str) -> None:
    ((is_standby, role, may_create),) = rows(connection, _ROLE, None, wanted)
    if is_standby:
        raise OperationError(
            Reason.PRECONDITION,
            wanted,
            "the server is a standby, where nothing can be changed",
            "Give the address of the primary server",
        )
    if not may_create:
        raise OperationError(
            Reason.AUTH,
            wanted,
            f"{role} has no right to create databases, which renaming one needs",
            f"ALTER ROLE {role} CREATEDB, or use a superuser",
        )
    for name, owner, is_ours in rows(connection, _OWNED, [databases], wanted):
        if not is_ours:
            raise OperationError(
                Reason.AUTH,
                wanted,
                f"database {name} belongs to {owner}",
                f"Run this as {owner}, as a member of that role, or as a superuser",
            )


def sessions(connection: Connection, databases: list[str]) -> list[Session]:
    """Who is connected to these databases, without this connection."""
    found = rows(connection, _SESSIONS, [databases], "see the sessions of the server")
    return [Session(*row) for row in found]


def held(wanted: str, holders: list[Session]) -> OperationError:
    """The `locked` that names the sessions that do not go away, and how to end them."""
    names = ", ".join(str(each) for each in holders) or "a session that has ended meanwhile"
    ends = "did not end" if all(each.may_be_ended for each in holders) else "this user may not end"
    calls = ", ".join(f"pg_terminate_backend({each.pid})" for each in holders)
    next_step = f"End it (as a superuser: SELECT {calls}), then run this again"
    return OperationError(
        Reason.LOCKED,
        wanted,
        f"connected, and {ends}: {names}; nothing was changed",
        next_step if holders else "Run this again",
        state={"sessions": [each.as_dict() for each in holders]},
    )

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a PostgreSQL server tells of its connections and of its limits on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.errors import OperationError, Reason
from ..postgres import Server, connect, rows
from .budget import Limits
from .sessions import SessionGroup

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

_LIMITS = """
SELECT current_setting('max_connections')::int,
       current_setting('superuser_reserved_connections')::int,
       coalesce(current_setting('reserved_connections', true)::int, 0),
       (SELECT rolconnlimit FROM pg_roles WHERE rolname = %(role)s),
       (SELECT datconnlimit FROM pg_database WHERE datname = %(database)s),
       pg_has_role('pg_read_all_stats', 'member')
"""
# Only client backends take slots of max_connections. Of others' sessions who may not read all
# statistics sees no type; what is no client then has no role or no database.
_SESSIONS = """
SELECT coalesce(application_name, ''), usename, datname, coalesce(state, ''), count(*),
       extract(epoch FROM max(clock_timestamp() - state_change))::float8,
       extract(epoch FROM max(clock_timestamp() - xact_start))::float8
FROM pg_stat_activity
WHERE coalesce(backend_type, 'client backend') = 'client backend'
  AND usename IS NOT NULL AND datname IS NOT NULL AND pid <> pg_backend_pid()
GROUP BY 1, 2, 3, 4
ORDER BY 5 DESC, 1, 2, 3, 4
"""


class Activity:
    """One connection to the server; used as a context manager, which closes it."""

    def __init__(self, server: Server, database: str) -> None:
        """Raises as `postgres.connect`: `unreachable`, `auth`, `missing_library`, ..."""
        self.address = server.address
        wanted = f"look at the connections of {server.address}"
        self._connection: Connection = connect(server, database, wanted)
        self.sees_all = False

    def __enter__(self) -> Activity:
        return self

    def __exit__(self, *_error: object) -> None:
        self._connection.close()

    @property
    def version(self) -> int:
        """PostgreSQL's number for it, such as 170004."""
        return int(self._connection.server_version)

    def user(self) -> str:
        """The role that looks."""
        return str(self._ask("SELECT current_user", {}, "see who looks")[0][0])

    def limits(self, role: str, database: str) -> Limits:
        """The limits in the agent's way; `precondition` for a role or database that is not there."""
        values = {"role": role, "database": database}
        found = self._ask(_LIMITS, values, "read the limits on connections")[0]
        for kind, name, limit in (("role", role, found[3]), ("database", database, found[4])):
            if limit is None:
                raise OperationError(
                    Reason.PRECONDITION,
                    f"read the limits on connections of {self.address}",
                    f"it has no {kind} {name}",
                    f"Give the {kind} that the agent connects with",
                )
        self.sees_all = bool(found[5])
        return Limits(
            max_connections=found[0],
            superuser_reserved=found[1],
            reserved=found[2],
            role=role,
            role_limit=_limit(found[3]),
            database=database,
            database_limit=_limit(found[4]),
        )

    def look(self) -> list[SessionGroup]:
        """Every client's session but this one, in groups, the largest first."""
        found = self._ask(_SESSIONS, {}, "read pg_stat_activity")
        return [SessionGroup(*row) for row in found]

    def _ask(self, statement: str, values: dict[str, Any], wanted: str) -> list[Any]:
        return rows(self._connection, statement, values, f"{wanted} of {self.address}")


def _limit(number: int) -> int | None:
    """A catalog's connection limit; -1 is none (-2 marks a database that is being dropped)."""
    return None if number < 0 else number

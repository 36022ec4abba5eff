# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A PgBouncer between the agent and its server, asked at its admin console."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..core.errors import OperationError, Reason
from ..core.operation import Params
from ..postgres import Server, connect
from .budget import Bouncer
from .sessions import Identity

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

_CONSOLE = "pgbouncer"
Record = Mapping[str, Any]


def read_bouncer(option: Params, agent: Identity) -> Bouncer:
    """Mode and limits of the pool that the agent's role and database share.

    `option` is a module's `pgbouncer`. Its user must be one of PgBouncer's `stats_users` or
    `admin_users`. Raises `precondition` where it has no such database, else as a connection.
    """
    server = Server.of(option)
    wanted = f"ask the console of PgBouncer {server.address}"
    connection = connect(server, _CONSOLE, wanted, is_console=True)
    with contextlib.closing(connection):
        databases = list(_show(connection, "DATABASES", wanted))
        config = {each["key"]: each["value"] for each in _show(connection, "CONFIG", wanted)}
        clients = list(_show(connection, "CLIENTS", wanted))
        pools = list(_show(connection, "POOLS", wanted))
    named = option["database"]
    found = [each for each in databases if _is_agents(each, named, agent)]
    if not found:
        raise OperationError(
            Reason.PRECONDITION,
            wanted,
            f"it has no database {named or agent.database}",
            "Name the one that the agent connects to in pgbouncer.database",
        )
    return _bouncer(found[0], config, clients, pools, agent)


def _show(connection: Connection, what: str, wanted: str) -> Iterator[Record]:
    """SHOW's rows by column name: which columns there are depends on the version."""
    import psycopg2

    with connection.cursor() as cursor:
        try:
            cursor.execute(f"SHOW {what}")
        except psycopg2.Error as error:
            raise OperationError(
                Reason.AUTH,
                wanted,
                " ".join(str(error).split()).rstrip("."),
                "Give a user of its stats_users or admin_users",
            ) from error
        names = [column[0] for column in cursor.description or ()]
        for row in cursor.fetchall():
            yield dict(zip(names, row))


def _is_agents(database: Record, named: str | None, agent: Identity) -> bool:
    if named is not None:
        return bool(database["name"] == named)
    return agent.database in (database["name"], database["database"])


def _bouncer(
    database: Record,
    config: Record,
    clients: list[Record],
    pools: list[Record],
    agent: Identity,
) -> Bouncer:
    name = database["name"]
    size = _number(database["pool_size"])
    reserve = _number(_first(database, "reserve_pool_size", "reserve_pool"))
    user = database["force_user"] or agent.role
    others = {pool["user"] for pool in pools if pool["database"] == name and pool["user"] != user}
    most = _number(database["max_connections"])
    beside = len(others) * (size + reserve)
    if most:
        beside = max(0, min(beside, most - min(size + reserve, most)))
    return Bouncer(
        pool_mode=str(database["pool_mode"] or config["pool_mode"]),
        pool_size=size,
        reserve_pool_size=reserve,
        max_client_conn=_number(config["max_client_conn"]),
        max_db_connections=most,
        max_user_connections=_number(config.get("max_user_connections", 0)),
        other_clients=sum(
            client["database"] != _CONSOLE and not _is_agents_client(client, name, user, agent)
            for client in clients
        ),
        other_servers=beside,
        prepares=_number(config.get("max_prepared_statements", 0)) > 0,
    )


def _is_agents_client(client: Record, name: str, user: str, agent: Identity) -> bool:
    """By its application's name where that is told (PgBouncer 1.18), else by user and database."""
    application = client.get("application_name")
    if application:
        return agent.is_called(str(application))
    return bool(client["database"] == name and client["user"] in (user, agent.role))


def _first(record: Record, *names: str) -> Any:
    return next(record[name] for name in names if name in record)


def _number(value: Any) -> int:
    return int(value or 0)

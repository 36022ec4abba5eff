# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stack's PostgreSQL with more connections than its default of 100."""

from __future__ import annotations

from contextlib import closing

import psycopg2

from demo.stack.stack import Addresses, Stack
from tests.component.backup_place import secret

SERVERS = ("postgres", "redis")


def allow_connections(stack: Stack, count: int) -> None:
    """Another max_connections, which takes a restart of the server."""
    addresses = stack.up(only=SERVERS)
    as_superuser(addresses, "postgres", f"ALTER SYSTEM SET max_connections = {count}")
    stack.down()
    assert stack.up(only=SERVERS) == addresses


def as_superuser(addresses: Addresses, database: str, *statements: str) -> None:
    """Run statements, each for itself, in a database of the stack."""
    server = addresses["postgres"]
    connection = psycopg2.connect(
        host=server["host"],
        port=server["port"],
        user=server["superuser"],
        dbname=database,
        password=secret(server["superuser_password_file"]),
    )
    connection.autocommit = True
    with closing(connection), connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)

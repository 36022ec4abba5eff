# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A statement sent, and its failure told in the words of what was wanted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .connection import query_failure

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection


def rows(connection: Connection, statement: Any, values: Any, wanted: str) -> list[Any]:
    """What a query answers; a failure says what was `wanted`."""
    with _failing_as(wanted), connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def run(connection: Connection, statement: Any, wanted: str) -> None:
    """Execute a statement that answers nothing; a failure says what was `wanted`."""
    with _failing_as(wanted), connection.cursor() as cursor:
        cursor.execute(statement)


@contextlib.contextmanager
def _failing_as(wanted: str) -> Iterator[None]:
    import psycopg2

    try:
        yield
    except psycopg2.Error as error:
        raise query_failure(wanted, error) from error

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection beside a database: it cannot be renamed, created or dropped from within."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING

from ...core.errors import OperationError, Reason
from .connection import Server, connect

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

_MAINTENANCE_DATABASES = ("postgres", "template1")  # PostgreSQL's own, as createdb tries them


def connect_beside(server: Server, databases: Container[str], purpose: str) -> Connection:
    """An autocommit connection to a maintenance database that is none of `databases`.

    Raises what the last of them met.
    """
    candidates = [name for name in _MAINTENANCE_DATABASES if name not in databases]
    for name in candidates[:-1]:
        try:
            return connect(server, name, purpose)
        except OperationError as error:
            if error.reason not in (Reason.PRECONDITION, Reason.AUTH):
                raise
    return connect(server, candidates[-1], purpose)

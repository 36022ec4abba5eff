# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which PostgreSQL server, and a connection to one of its databases."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...core.errors import OperationError, Reason
from ...core.operation import Params
from ...core.password_file import given_password

if TYPE_CHECKING:
    import psycopg2

SSL_MODES = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]
_APPLICATION = "optiinfra-cost-agent"
_CONNECT_TIMEOUT_S = 10
# What a role or a database has set for its applications would end a long dump or restore, or let it
# write nothing. Which of them a server knows depends on its version: first that has it, setting.
_LIMITS = (
    (0, "statement_timeout", "0"),
    (0, "lock_timeout", "0"),
    (0, "idle_in_transaction_session_timeout", "0"),
    (140000, "idle_session_timeout", "0"),
    (170000, "transaction_timeout", "0"),
    (0, "default_transaction_read_only", "off"),
)
# Whoever owns a database may put a function or an operator into it that is named like one of
# PostgreSQL's, and would be run by the superuser that looks into it (CVE-2018-1058).
_NOBODYS_NAMES = (0, "search_path", "")
_REFUSED = "unsupported startup parameter"  # PgBouncer's words


def server_arguments() -> dict[str, dict[str, Any]]:
    """How to reach the server, and its client programs; documented in doc_fragments/postgres.py."""
    return {**reach_arguments(), "bin_dir": {"type": "path"}}


def reach_arguments() -> dict[str, dict[str, Any]]:
    """How to reach the server, for what needs none of its programs."""
    return {
        "host": {"type": "str"},
        "port": {"type": "int"},
        "user": {"type": "str"},
        "password": {"type": "str", "no_log": True},
        "password_file": {"type": "path", "no_log": False},
        "sslmode": {"type": "str", "choices": SSL_MODES},
        "ca_file": {"type": "path"},
    }


@dataclass(frozen=True)
class Server:
    """How to reach a PostgreSQL server; what is None is libpq's own default or environment."""

    host: str | None = None
    port: int | None = None
    user: str | None = None
    password: str | None = None
    sslmode: str | None = None
    ca_file: str | None = None

    @classmethod
    def of(cls, params: Params) -> Server:
        """The server in a module's options; `invalid_input` for an unreadable password file."""
        names = ("host", "port", "user", "sslmode", "ca_file")
        return cls(password=given_password(params), **{name: params[name] for name in names})

    @property
    def address(self) -> str:
        """Where it is, for messages."""
        host = self.host or os.environ.get("PGHOST") or "the local socket"
        return f"{host}:{self.port or os.environ.get('PGPORT') or 5432}"

    def environment(self, database: str) -> dict[str, str]:
        """This process's environment with libpq's variables, for PostgreSQL's own programs.

        The password goes by the environment: an argument list is everybody's to read.
        """
        given = {
            "PGHOST": self.host,
            "PGPORT": str(self.port) if self.port else None,
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
            "PGSSLMODE": self.sslmode,
            "PGSSLROOTCERT": self.ca_file,
        }
        fixed = {
            "PGDATABASE": database,
            "PGAPPNAME": _APPLICATION,
            "PGOPTIONS": f"{os.environ.get('PGOPTIONS', '')} {_options(*_LIMITS)}".strip(),
            "PGCONNECT_TIMEOUT": str(_CONNECT_TIMEOUT_S),
            "LC_ALL": "C",
        }
        return {**os.environ, **{k: v for k, v in given.items() if v is not None}, **fixed}


def connect(
    server: Server, database: str, purpose: str, is_console: bool = False
) -> psycopg2.extensions.connection:
    """An autocommit connection without limits of time; `purpose` continues "Failed to ...".

    Its search_path is empty: names are those of pg_catalog, or have their schema with them. The
    console of a pooler (`is_console`) has no settings at all.
    Raises `unreachable`, `auth`, `precondition` (no such database), `missing_library`.
    """
    try:
        import psycopg2
    except ImportError as error:
        raise OperationError(
            Reason.MISSING_LIBRARY,
            purpose,
            "the Python library psycopg2 is not installed here",
            "Install psycopg2-binary for the Python that runs this",
        ) from error
    options = "" if is_console else _options(*_LIMITS)
    connection: psycopg2.extensions.connection = _connect(
        psycopg2, server, database, purpose, options
    )
    connection.autocommit = True
    if not is_console:
        _set(connection, purpose)
    return connection


def _connect(library: Any, server: Server, database: str, purpose: str, options: str) -> Any:
    try:
        return library.connect(
            host=server.host,
            port=server.port,
            dbname=database,
            user=server.user,
            password=server.password,
            sslmode=server.sslmode,
            sslrootcert=server.ca_file,
            application_name=_APPLICATION,
            connect_timeout=_CONNECT_TIMEOUT_S,
            # A server that vanished without a word is noticed after a minute and a half.
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=6,
            options=options or None,
            client_encoding="UTF8",
        )
    except library.Error as error:
        if options and _REFUSED in str(error):
            return _connect(library, server, database, purpose, "")
        raise connection_failure(purpose, server, str(error)) from error


def _options(*settings: tuple[int, str, str]) -> str:
    """libpq's `options` for those that every version knows."""
    return " ".join(f"-c {name}={value}" for since, name, value in settings if not since)


def _set(connection: psycopg2.extensions.connection, purpose: str) -> None:
    """Set what this version knows, also behind a pooler, which takes no options."""
    import psycopg2

    wanted = [
        (name, value)
        for since, name, value in (_NOBODYS_NAMES, *_LIMITS)
        if connection.server_version >= since
    ]
    each = ", ".join(["pg_catalog.set_config(%s, %s, false)"] * len(wanted))
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {each}", [word for pair in wanted for word in pair])
    except psycopg2.Error as error:
        connection.close()
        raise query_failure(purpose, error) from error


def connection_failure(purpose: str, server: Server, text: str) -> OperationError:
    """The error for libpq's words on a connection that failed; it gives no SQLSTATE for one."""
    words = " ".join(text.split())
    seen = f"{server.address}: {words.rpartition('FATAL: ')[2].strip().rstrip('.')}"
    if "does not exist" in words and "database" in words:
        return OperationError(
            Reason.PRECONDITION, purpose, seen, "Give the name of a database of this server"
        )
    if any(
        sign in words
        for sign in ("authentication failed", "no password supplied", "pg_hba.conf", 'role "')
    ):
        return OperationError(
            Reason.AUTH, purpose, seen, "Check user and password, and pg_hba.conf on the server"
        )
    if "permission denied for database" in words:
        return OperationError(
            Reason.AUTH, purpose, seen, "Grant CONNECT on the database to this user"
        )
    if "timeout expired" in words:
        return OperationError(
            Reason.TIMEOUT,
            purpose,
            seen,
            "Check that the server runs and no firewall is between",
        )
    return OperationError(
        Reason.UNREACHABLE, purpose, seen, "Check host and port, and that the server runs"
    )


def query_failure(purpose: str, error: Any) -> OperationError:
    """The error for a psycopg2.Error that a statement met, by its SQLSTATE."""
    words = " ".join(str(error).split())
    reason, next_step = _by_sqlstate(getattr(error, "pgcode", None) or "")
    return OperationError(reason, purpose, words.rstrip("."), next_step)


def _by_sqlstate(code: str) -> tuple[Reason, str]:
    """PostgreSQL's documentation, appendix A."""
    if code == "42501":
        return Reason.AUTH, "Grant this user the privilege, or use the owner or a superuser"
    if code == "55P03":
        return Reason.LOCKED, "Wait until the other session has ended, or end it; see pg_locks"
    if code in ("53100", "53200", "53300"):
        return Reason.BUDGET, "Free disk, memory or connections on the server, then run this again"
    if code in ("XX001", "XX002"):
        return Reason.INTEGRITY, "Restore a backup from before: this server's data is damaged"
    if code in ("", "57P01", "57P02", "57P03") or code.startswith("08"):
        return Reason.UNREACHABLE, "Look at the server's log, and run this again once it is up"
    return Reason.FAILED_STATE, "Look at the server's log, then run this again"

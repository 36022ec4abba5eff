# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a database has besides its contents: owner, locale, settings, grants, limit, comment.

pg_dump keeps them only with --create, under the database's own name; here they are read from the
catalogs of PostgreSQL 12 to 18 and given to a database of any name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...core.errors import OperationError, Reason
from ..sets.manifest import DatabaseProperties
from .connection import query_failure
from .property_changes import grant_changes, setting_changes
from .statements import rows

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection
    from psycopg2.sql import Composable

_PROVIDERS = {"c": "libc", "i": "icu", "b": "builtin"}
# datacl NULL means the default privileges; the same privilege by two grantors counts once.
_READ = """
SELECT pg_get_userbyid(d.datdba), pg_encoding_to_char(d.encoding), d.datcollate, d.datctype,
       {provider}, coalesce({locale}, ''), coalesce({rules}, ''), d.datconnlimit,
       coalesce(shobj_description(d.oid, 'pg_database'), ''), t.spcname,
       ARRAY(SELECT ARRAY[coalesce(r.rolname, ''), setting]
             FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole,
                  unnest(s.setconfig) setting
             WHERE s.setdatabase = d.oid ORDER BY 1),
       ARRAY(SELECT ARRAY[CASE grantee WHEN 0 THEN '' ELSE pg_get_userbyid(grantee)::text END,
                          privilege_type, bool_or(is_grantable)::text]
             FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba)))
             GROUP BY grantee, privilege_type ORDER BY 1)
FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace
WHERE d.datname = %s
"""


def read_properties(connection: Connection, database: str) -> DatabaseProperties:
    """What a database of this server has; the connection may be to another one.

    Raises `precondition` when there is no such database.
    """
    wanted = f"read the properties of database {database}"
    found = rows(connection, _read_statement(connection), [database], wanted)
    if not found:
        raise OperationError(
            Reason.PRECONDITION,
            wanted,
            "this server has no database of that name",
            "Give the name of a database of this server",
        )
    row = found[0]
    return DatabaseProperties(
        owner=row[0],
        encoding=row[1],
        collate=row[2],
        ctype=row[3],
        locale_provider=row[4],
        locale=row[5],
        icu_rules=row[6],
        connection_limit=max(row[7], -1),  # -2 marks a DROP DATABASE that was interrupted
        comment=row[8],
        tablespace=row[9],
        settings=row[10],
        grants=[[grantee, privilege, option == "true"] for grantee, privilege, option in row[11]],
    )


def _read_statement(connection: Connection) -> str:
    version = connection.server_version
    locale = "NULL::text"
    if version >= 150000:
        locale = "d.datlocale" if version >= 170000 else "d.daticulocale"
    return _READ.format(
        provider="d.datlocprovider" if version >= 150000 else "'c'",
        locale=locale,
        rules="d.daticurules" if version >= 160000 else "NULL::text",
    )


def create_statement(
    connection: Connection, name: str, properties: DatabaseProperties
) -> tuple[Composable, list[str]]:
    """CREATE DATABASE from template0 with these encodings and locales, and what it leaves out.

    Raises `precondition` when this version of PostgreSQL has no such locale provider.
    """
    from psycopg2 import sql

    words: list[tuple[str, Composable]] = [
        ("TEMPLATE", sql.Identifier("template0")),
        ("ENCODING", sql.Literal(properties.encoding)),
        ("LC_COLLATE", sql.Literal(properties.collate)),
        ("LC_CTYPE", sql.Literal(properties.ctype)),
    ]
    for word, value in _locale_words(connection, name, properties):
        words.append((word, sql.Literal(value)))
    notes = []
    if properties.tablespace != "pg_default":
        if _may_use_tablespace(connection, properties.tablespace):
            words.append(("TABLESPACE", sql.Identifier(properties.tablespace)))
        else:
            notes.append(
                f"it is in the server's default tablespace: {properties.tablespace} is not there "
                "or this user may not create in it"
            )
    options = [sql.SQL(word + " {}").format(value) for word, value in words]
    statement = sql.SQL("CREATE DATABASE {} WITH ").format(sql.Identifier(name))
    return statement + sql.SQL(" ").join(options), notes


def _locale_words(
    connection: Connection, name: str, properties: DatabaseProperties
) -> list[tuple[str, str]]:
    provider = properties.locale_provider
    first_version = {"c": 0, "i": 150000}.get(provider, 170000)
    if connection.server_version < first_version:
        raise OperationError(
            Reason.PRECONDITION,
            f"create database {name}",
            f"its locale provider is {_PROVIDERS.get(provider, provider)}, which PostgreSQL has "
            f"from version {first_version // 10000} on",
            "Use a server of that version or newer",
        )
    if connection.server_version < 150000:
        return []
    words = [("LOCALE_PROVIDER", _PROVIDERS.get(provider, provider))]
    if provider == "i":
        words.append(("ICU_LOCALE", properties.locale))
        if properties.icu_rules and connection.server_version >= 160000:
            words.append(("ICU_RULES", properties.icu_rules))
    if provider == "b":
        words.append(("BUILTIN_LOCALE", properties.locale))
    return words


def _may_use_tablespace(connection: Connection, tablespace: str) -> bool:
    statement = (
        "SELECT has_tablespace_privilege(oid, 'CREATE') FROM pg_tablespace WHERE spcname = %s"
    )
    found = rows(connection, statement, [tablespace], f"look for tablespace {tablespace}")
    return bool(found and found[0][0])


def create_database(
    connection: Connection,
    name: str,
    properties: DatabaseProperties,
    allow_connections: bool = True,
) -> list[str]:
    """Create an empty database owned by this user; returns what is not as in the properties.

    Raises `precondition` when the server lacks the locale or has the name already.
    """
    import psycopg2
    from psycopg2 import sql

    wanted = f"create database {name}"
    statement, notes = create_statement(connection, name, properties)
    if not allow_connections:
        statement += sql.SQL(" ALLOW_CONNECTIONS false")
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
    except psycopg2.Error as error:
        next_step = _CREATE_HINTS.get(error.pgcode or "")
        if next_step is None:
            raise query_failure(wanted, error) from error
        raise OperationError(Reason.PRECONDITION, wanted, _words(error), next_step) from error
    return notes


_CREATE_HINTS = {  # by SQLSTATE
    "42809": "Install the locale on the server, for example with locale-gen",
    "22023": "Install the locale on the server, for example with locale-gen",
    "0A000": "Use a server that was built with this locale provider",
    "42P04": "Give another name, or drop that database",
    "55006": "Close the sessions that are connected to template0, then run this again",
}


def apply_properties(
    connection: Connection, database: str, properties: DatabaseProperties
) -> list[str]:
    """Give a database the owner, limit, settings, grants and comment; touches no equal one.

    Returns what this user may not give, or what names a role that this server lacks, as
    sentences. The owner is not one of these: `precondition` or `auth` when it cannot be given.
    """
    from psycopg2 import sql

    target = sql.Identifier(database)
    now = read_properties(connection, database)
    if now.owner != properties.owner:
        _give_owner(connection, database, properties.owner)
        now = read_properties(connection, database)
    changes = setting_changes(target, now.settings, properties.settings)
    changes += grant_changes(target, now.grants, properties.grants)
    if now.connection_limit != properties.connection_limit:
        limit = sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}")
        statement = limit.format(target, sql.Literal(properties.connection_limit))
        changes.append((f"its connection limit {properties.connection_limit}", statement))
    if now.comment != properties.comment:
        changes.append(("its comment", comment_statement(database, properties.comment)))
    return [note for what, statement in changes if (note := _try(connection, what, statement))]


def comment_statement(database: str, comment: str) -> Composable:
    """COMMENT ON DATABASE; an empty comment removes the one that is there."""
    from psycopg2 import sql

    statement = sql.SQL("COMMENT ON DATABASE {} IS {}")
    return statement.format(sql.Identifier(database), sql.Literal(comment or None))


def _give_owner(connection: Connection, database: str, owner: str) -> None:
    import psycopg2
    from psycopg2 import sql

    wanted = f"make {owner} the owner of database {database}"
    statement = sql.SQL("ALTER DATABASE {} OWNER TO {}")
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement.format(sql.Identifier(database), sql.Identifier(owner)))
    except psycopg2.Error as error:
        if error.pgcode != "42704":
            raise query_failure(wanted, error) from error
        raise OperationError(
            Reason.PRECONDITION,
            wanted,
            "this server has no role of that name",
            "Create the role first; a backup keeps the roles' statements in its roles file",
        ) from error


def _try(connection: Connection, what: str, statement: Composable) -> str:
    """Empty, or why this could not be given: no privilege, no such role, no such setting."""
    import psycopg2

    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
    except psycopg2.Error as error:
        if (error.pgcode or "")[:2] not in ("22", "42", "55"):
            raise query_failure(f"give the database {what}", error) from error
        return f"{what} is not carried over: {_words(error)}"
    return ""


def _words(error: Any) -> str:
    return " ".join(str(error).removeprefix("ERROR:").split()).rstrip(".")

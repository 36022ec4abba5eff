# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The statements that lead from a database's settings and grants to those that are wanted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psycopg2.sql import Composable

_PUBLIC = ""
_ALL_ROLES = ""
_PRIVILEGES = ("CONNECT", "CREATE", "TEMPORARY")
# GUC_LIST_QUOTE: kept as a list of quoted names, and set element by element. From PostgreSQL's
# variable_is_guc_list_quote(), which pg_dump asks too.
_LISTS_OF_NAMES = {
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
}


Changes = list[tuple[str, "Composable"]]


def setting_changes(target: Composable, now: list[list[str]], wanted: list[list[str]]) -> Changes:
    from psycopg2 import sql

    changes: Changes = []
    kept = {(role, setting.partition("=")[0]) for role, setting in wanted}
    for role, setting in now:
        name = setting.partition("=")[0]
        if (role, name) not in kept:
            reset = sql.SQL("{} RESET {}").format(_whose(role, target), sql.Identifier(name))
            changes.append((f"the absence of setting {name}{_of(role)}", reset))
    for role, setting in wanted:
        if [role, setting] in now:
            continue
        name, _equals, value = setting.partition("=")
        change = sql.SQL("{} SET {} TO {}").format(
            _whose(role, target), sql.Identifier(name), _setting_value(name, value)
        )
        changes.append((f"setting {setting}{_of(role)}", change))
    return changes


def _whose(role: str, target: Composable) -> Composable:
    from psycopg2 import sql

    if role == _ALL_ROLES:
        return sql.SQL("ALTER DATABASE {}").format(target)
    return sql.SQL("ALTER ROLE {} IN DATABASE {}").format(sql.Identifier(role), target)


def _of(role: str) -> str:
    return f" of role {role}" if role else ""


def _setting_value(name: str, value: str) -> Composable:
    from psycopg2 import sql

    if name.lower() not in _LISTS_OF_NAMES:
        return sql.Literal(value)
    return sql.SQL(", ").join([sql.Literal(each) for each in names_in(value)])


def names_in(value: str) -> list[str]:
    """The names in a kept list such as `"$user", public`; an empty list is one empty name."""
    names: list[str] = []
    rest = value.strip()
    while rest:
        if rest.startswith('"'):
            end = 1
            while rest[end : end + 1] and (rest[end] != '"' or rest[end + 1 : end + 2] == '"'):
                end += 2 if rest[end] == '"' else 1
            names.append(rest[1:end].replace('""', '"'))
            rest = rest[end + 1 :].lstrip().lstrip(",").lstrip()
        else:
            name, _comma, rest = rest.partition(",")
            names.append(name.strip())
            rest = rest.lstrip()
    return names or [""]


def grant_changes(target: Composable, now: list[list[Any]], wanted: list[list[Any]]) -> Changes:
    """Revoke first: taking back a privilege would take its grant option too."""
    from psycopg2 import sql

    changes: Changes = []
    for grantee, privilege, option in _only_in(now, wanted):
        revoke = sql.SQL("REVOKE {} ON DATABASE {} FROM {} CASCADE").format(
            _privilege(privilege), target, _grantee(grantee)
        )
        changes.append((f"the absence of {_grant_words(grantee, privilege, option)}", revoke))
    for grantee, privilege, option in _only_in(wanted, now):
        grant = sql.SQL("GRANT {} ON DATABASE {} TO {}").format(
            _privilege(privilege), target, _grantee(grantee)
        )
        if option:
            grant += sql.SQL(" WITH GRANT OPTION")
        changes.append((_grant_words(grantee, privilege, option), grant))
    return changes


def _only_in(some: Sequence[Any], others: Sequence[Any]) -> list[Any]:
    return [each for each in some if each not in others]


def _grant_words(grantee: str, privilege: str, option: bool) -> str:
    words = f"{privilege} for {grantee or 'everybody'}"
    return f"{words} with grant option" if option else words


def _privilege(name: str) -> Composable:
    """A privilege word: one of three, or a quoted name that the server then refuses."""
    from psycopg2 import sql

    return sql.SQL(name) if name in _PRIVILEGES else sql.Identifier(name)


def _grantee(name: str) -> Composable:
    from psycopg2 import sql

    return sql.SQL("PUBLIC") if name == _PUBLIC else sql.Identifier(name)

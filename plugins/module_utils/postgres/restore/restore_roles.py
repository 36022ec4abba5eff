# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which roles a dump names, and those statements of `pg_dumpall --roles-only` that make them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from ..sets.manifest import DatabaseProperties
from ..sets.toc import TocEntry

_NAME = r'"(?:[^"]|"")+"|[a-z_\x80-\U0010ffff][\w$]*'
_PUBLIC = "public"
_GRANTEE = re.compile(rf"\b(?:TO|FROM) ({_NAME})(?: WITH GRANT OPTION)?;$", re.MULTILINE)
_GRANTOR = re.compile(
    rf"^(?:ALTER DEFAULT PRIVILEGES FOR ROLE|SET SESSION AUTHORIZATION) ({_NAME})", re.MULTILINE
)
_POLICY = re.compile(rf" TO ((?:{_NAME})(?:, (?:{_NAME}))*)(?: USING| WITH CHECK|;$)")
_MAKES = re.compile(rf"(?:CREATE|ALTER) ROLE ({_NAME})(?: .*)?;$")
_MEMBERSHIP = re.compile(rf"GRANT ({_NAME}) TO ({_NAME})(?: [^;]*)?;$")
_GRANTED_BY = re.compile(rf" GRANTED BY (?:{_NAME})")


def owners_in(entries: Iterable[TocEntry]) -> set[str]:
    """The roles that own something in the dump."""
    return {entry.owner for entry in entries if entry.owner}


def roles_in(entries: Iterable[TocEntry], properties: DatabaseProperties) -> set[str]:
    """The roles that a restore with owners and grants needs: owners, grantees, policies' roles."""
    found = {properties.owner}
    for entry in entries:
        found.add(entry.owner)
        if entry.kind in ("ACL", "DEFAULT ACL"):
            for pattern in (_GRANTEE, _GRANTOR):
                found.update(map(_unquoted, pattern.findall(entry.statement)))
        if entry.kind == "POLICY":
            for names in _POLICY.findall(entry.statement):
                found.update(_unquoted(name) for name in re.findall(_NAME, names))
    return found - {"", _PUBLIC}


def with_their_groups(
    roles_sql: str, missing: Collection[str], existing: Collection[str]
) -> list[str]:
    """The missing roles and the roles that they are members of, without the existing ones."""
    wanted = list(missing)
    for member in wanted:  # it grows: groups have groups
        for group, its_member in _memberships(roles_sql):
            if its_member == member and group not in existing and group not in wanted:
                wanted.append(group)
    return sorted(wanted)


def statements_for(
    roles_sql: str, to_create: Collection[str], existing: Collection[str]
) -> list[str]:
    """The statements that make these roles and their memberships, without passwords."""
    known = {*to_create, *existing}
    chosen = []
    for line in roles_sql.splitlines():
        makes = _MAKES.match(line)
        if makes and _unquoted(makes.group(1)) in to_create:
            chosen.append(line)
        membership = _MEMBERSHIP.match(line)
        if membership:
            pair = {_unquoted(each) for each in membership.groups()}
            if pair <= known and pair & set(to_create):
                chosen.append(_GRANTED_BY.sub("", line))
    return chosen


def _memberships(roles_sql: str) -> list[tuple[str, str]]:
    """Each group and a member of it."""
    found = map(_MEMBERSHIP.match, roles_sql.splitlines())
    return [(_unquoted(each.group(1)), _unquoted(each.group(2))) for each in found if each]


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name

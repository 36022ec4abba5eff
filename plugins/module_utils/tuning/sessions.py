# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is connected to the server: the agent, and everybody else at peak. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.readable import age_text
from ..core.result import Table
from .budget import Others

_HIDDEN = "not shown"


@dataclass(frozen=True)
class SessionGroup:
    """Sessions alike in application, role, database and state; `oldest_s` in that state.

    `state` is PostgreSQL's own word (`active`, `idle`, `idle in transaction`, ...), empty where
    this user may not see it. `oldest_transaction_s` is None without an open transaction.
    """

    application: str
    role: str
    database: str
    state: str
    count: int
    oldest_s: float | None = None
    oldest_transaction_s: float | None = None


@dataclass(frozen=True)
class Identity:
    """How the agent's sessions are known: by their application's name.

    A pooler in between (`is_pooled`) passes that on with the first transaction: a connection of the
    agent's pool that has served none yet has no name, and is known by role and database.
    """

    application: str
    role: str
    database: str
    is_pooled: bool = False

    def is_agent(self, group: SessionGroup) -> bool:
        """Whether a group is the agent's."""
        if self.is_pooled and not group.application:
            return (group.role, group.database) == (self.role, self.database)
        return self.is_called(group.application)

    def is_called(self, name: str) -> bool:
        """Whether that is the agent's name, or it and more after a space."""
        return name == self.application or name.startswith(f"{self.application} ")


def total(groups: Iterable[SessionGroup]) -> int:
    """How many sessions they are."""
    return sum(group.count for group in groups)


def others_in(groups: Sequence[SessionGroup], agent: Identity) -> Others:
    """Everybody else in one look."""
    rest = [group for group in groups if not agent.is_agent(group)]
    return Others(
        server=total(rest),
        role=total(group for group in rest if group.role == agent.role),
        database=total(group for group in rest if group.database == agent.database),
    )


def highest(looks: Iterable[Others], seen: str) -> Others:
    """The most of each of several looks; `seen` is what to call them."""
    found = list(looks)
    return Others(
        server=max((each.server for each in found), default=0),
        role=max((each.role for each in found), default=0),
        database=max((each.database for each in found), default=0),
        seen=seen,
    )


def session_table(groups: Sequence[SessionGroup]) -> Table:
    """A row for each application and state, the most sessions first."""
    merged: dict[tuple[str, str], SessionGroup] = {}
    for group in groups:
        key = (group.application or f"({group.role})", group.state or _HIDDEN)
        there = merged.get(key)
        merged[key] = group if there is None else _joined(there, group)
    ordered = sorted(merged.items(), key=lambda item: (-item[1].count, item[0]))
    rows = [
        [_shortened(name), state, str(group.count), _age(group.oldest_s)]
        for (name, state), group in ordered
    ]
    return Table(["application", "state", "sessions", "oldest"], rows)


def as_state(groups: Sequence[SessionGroup], agent: Identity) -> list[dict[str, Any]]:
    """For a result's state; `is_agent` tells whose they are."""
    return [
        {
            "application": group.application,
            "role": group.role,
            "database": group.database,
            "state": group.state or None,
            "count": group.count,
            "oldest_s": group.oldest_s,
            "oldest_transaction_s": group.oldest_transaction_s,
            "is_agent": agent.is_agent(group),
        }
        for group in groups
    ]


def _joined(one: SessionGroup, other: SessionGroup) -> SessionGroup:
    ages = [age for age in (one.oldest_s, other.oldest_s) if age is not None]
    return SessionGroup(
        one.application, one.role, one.database, one.state, one.count + other.count,
        max(ages, default=None),
    )  # fmt: skip


def _shortened(name: str) -> str:
    return name if len(name) <= 32 else name[:29] + "..."


def _age(seconds: float | None) -> str:
    return "-" if seconds is None else age_text(seconds)

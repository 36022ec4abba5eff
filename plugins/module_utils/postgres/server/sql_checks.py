# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions of one's own to a restored database, and the answers that they must give."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ...core.clock import Clock
from ...core.errors import OperationError, invalid_option
from .connection import Server
from .parallel_queries import NO_POLICIES, run_all
from .parallel_work import Tick


def sql_check_arguments() -> dict[str, Any]:
    """The option `checks`, a list."""
    return {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "query": {"type": "str", "required": True},
            "expect": {"type": "raw", "default": True},
        },
    }


@dataclass(frozen=True)
class SqlCheck:
    """A query whose first value must be `expect`, compared as text."""

    name: str
    query: str
    expect: str


@dataclass(frozen=True)
class SqlAnswer:
    """What a check found: `seen` is its first value as text, or why there is none."""

    name: str
    ok: bool
    expect: str
    seen: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def read_checks(values: list[dict[str, Any]]) -> list[SqlCheck]:
    """The checks in the option; `invalid_input` for a name that is given twice."""
    checks = [
        SqlCheck(each["name"], each["query"], as_text(each["expect"])) for each in values or []
    ]
    names = [check.name for check in checks]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise invalid_option(
            "checks", f"the name {twice[0]!r} is there twice", "Give each check a name of its own"
        )
    return checks


def as_text(value: Any) -> str:
    """A value as it is compared: true and false in small letters, no value as null."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def ask_checks(
    server: Server, database: str, checks: list[SqlCheck], jobs: int, clock: Clock, tick: Tick
) -> list[SqlAnswer]:
    """What the database answers, in the checks' order; a failed query is a wrong answer."""
    from psycopg2 import sql

    statements = [(check.name, sql.SQL(check.query)) for check in checks]
    # They may name tables as the database's own applications do.
    settings = f"{NO_POLICIES}; RESET search_path"
    found = run_all(server, database, statements, jobs, "ask the checks", clock, tick, settings)
    answers = []
    for check in checks:
        value = found[check.name]
        failed = isinstance(value, OperationError)
        seen = value.seen if failed else as_text(value)
        answers.append(SqlAnswer(check.name, seen == check.expect, check.expect, seen))
    return answers

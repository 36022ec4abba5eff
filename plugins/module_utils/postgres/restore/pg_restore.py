# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_restore into a database, also one that is newer than the server."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..server.child import Child
from ..server.connection import Server
from ..server.programs import Program
from .restore_failure import restore_failure

# What it sets before all else where it is newer than the server, which does not know it; and the
# version from which a server does.
_UNKNOWN_SETTING = "Command was: SET transaction_timeout = 0;"
SETTING_KNOWN_FROM = 17
_ERRORS_WERE_IGNORED = 1


@dataclass(frozen=True)
class PgRestore:
    """How it is run; without `owners` everything is the user's own.

    `server_version` is PostgreSQL's number, such as 170004.
    """

    program: Program
    server: Server
    server_version: int
    database: str
    owners: bool

    def command(self, *words: str) -> list[str]:
        return [
            self.program.path,
            "--no-password",
            f"--dbname={connection_string(self.database)}",
            *(["--exit-on-error"] if self._is_known_to_server else []),
            *([] if self.owners else ["--no-owner", "--no-acl"]),
            *words,
        ]

    @property
    def environment(self) -> dict[str, str]:
        return restore_environment(self.server, self.database)

    @property
    def _is_known_to_server(self) -> bool:
        major = self.server_version // 10000
        return self.program.major < SETTING_KNOWN_FROM or major >= SETTING_KNOWN_FROM

    def has_failed(self, child: Child) -> bool:
        """Whether it has complained of what is to end it while it goes on."""
        return not self._is_known_to_server and "Command was:" in _serious(child.heard)

    def judge(self, child: Child, code: int | None, wanted: str) -> None:
        """Raise what its end with `code` means, if it failed; None where we ended it."""
        said = child.said()
        serious = said if self._is_known_to_server else _serious(said)
        if code == 0 or (code == _ERRORS_WERE_IGNORED and said and not serious):
            return
        code = _ERRORS_WERE_IGNORED if code is None else code
        raise restore_failure(wanted, child.name, code, serious or said)


def restore_environment(server: Server, database: str) -> dict[str, str]:
    """The environment of a program that fills a database which nobody needs before it is whole."""
    environment = server.environment(database)
    options = f"{environment.get('PGOPTIONS', '')} -c synchronous_commit=off".strip()
    return {**environment, "PGOPTIONS": options}


def connection_string(database: str) -> str:
    """A database's name as libpq reads it also where it has an equals sign or a quote in it."""
    escaped = database.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{escaped}'"


def _serious(said: str) -> str:
    """What it said, without the errors of settings that the server does not know."""
    blocks = re.split(r"^(?=pg_restore: )", said, flags=re.MULTILINE)
    return "".join(
        each
        for each in blocks
        # Of much, the middle is not kept: what is behind a gap is not known.
        if "\n...\n" in each
        or (each.startswith("pg_restore: error: ") and _UNKNOWN_SETTING not in each)
    )

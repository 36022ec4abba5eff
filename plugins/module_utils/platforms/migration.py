# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A command of a new release, run once before it becomes current; most migrate a database."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any, Protocol

from ..core.context import Context
from ..core.deadline import Deadline
from ..core.errors import invalid_option
from .environment import Environment


@dataclass(frozen=True)
class Migration:
    """The command as an argument list, and the environment that the replicas will have."""

    command: tuple[str, ...]
    environment: Environment

    def __str__(self) -> str:
        return shlex.join(self.command)


class Migrator(Protocol):
    """What can run a command of a release, on one platform."""

    def migrate(
        self, release_id: str, migration: Migration, deadline: Deadline, context: Context
    ) -> None:
        """Run it to the end, in an installed release that need not be current.

        Raises `missing_program`, `timeout` and `failed_state`, with the redacted end of what it
        printed as `log_tail`.
        """


def read_command(given: list[Any] | None) -> tuple[str, ...]:
    """The command, empty for none; raises `invalid_input`."""
    command = tuple(map(str, given or ()))
    if not command:
        return ()
    if not command[0] or command[0].split() != [command[0]]:
        raise invalid_option(
            "migration",
            f"{command[0]!r} is the name of no program",
            'Give a list with one element for each argument, as ["alembic", "upgrade", "head"]',
        )
    if any("\0" in argument for argument in command):
        raise invalid_option("migration", "an argument holds a NUL", "Give plain text")
    return command

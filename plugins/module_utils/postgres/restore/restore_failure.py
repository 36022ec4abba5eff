# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the words of pg_restore and psql mean when they fail."""

from __future__ import annotations

import re

from ...core.errors import OperationError, Reason
from ..server.program_failure import program_failure

# What they say -> reason and next step. From src/bin/pg_dump, src/bin/psql and the server's own.
_FAILURES = (
    (
        r"unsupported startup parameter",
        Reason.PRECONDITION,
        "Give PostgreSQL's own address, or have the pooler ignore_startup_parameters = options",
    ),
    (
        r"role \S+ does not exist",
        Reason.PRECONDITION,
        "Create the role first; for a backup of this collection, create_roles: true does it as a"
        " superuser, and owners: false restores without owners and grants",
    ),
    (
        r"No space left|[Dd]isk quota|disk full",
        Reason.BUDGET,
        "Free disk on the server, then run this again",
    ),
    (
        r"max_locks_per_transaction|out of shared memory|too many (connections|clients)|"
        r"remaining connection slots|out of memory",
        Reason.BUDGET,
        "Use fewer jobs, or raise what the message names on the server",
    ),
    (
        r"extension \S+ is not available|could not open extension control file",
        Reason.PRECONDITION,
        "Install the extension on the server",
    ),
    (
        r"terminating connection|server closed the connection|connection to server|"
        r"could not receive|recovery mode|shutting down|starting up|"
        r"no connection to the server|SSL SYSCALL",
        Reason.UNREACHABLE,
        "Look at the server's log, and run this again once it is up",
    ),
    (
        r"unsupported version|input file (does not appear|appears to be)|not a valid archive|"
        r"unexpected end of file|could not read from input file",
        Reason.INTEGRITY,
        "Use another backup, or a pg_restore as new as the pg_dump that made this one",
    ),
    (
        r"invalid command \\(un)?restrict",
        Reason.MISSING_PROGRAM,
        "Name in bin_dir the folder of a newer psql: a dump of August 2025 or later needs one",
    ),
    (
        r"permission denied|must be (owner|superuser|able to SET ROLE)|"
        r"must have privileges|Non-superuser",
        Reason.AUTH,
        "Restore as a superuser; for an archive, owners: false leaves owners and grants out",
    ),
)


def restore_failure(wanted: str, program: str, code: int, said: str) -> OperationError:
    """The error for a program that ended with `code` (negative: a signal) after saying this."""
    return program_failure(wanted, program, code, said, _FAILURES, first_error)


def first_error(said: str) -> str:
    """The first complaint in one line, with psql's line number, without pg_restore's preamble."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    for line in lines:
        in_script = re.match(r"psql:<stdin>:(\d+): (?:ERROR|FATAL|error): +(.*)", line)
        if in_script:
            return f"line {in_script.group(1)}: {in_script.group(2)}".rstrip(".")
        of_server = re.search(r"(?:ERROR|FATAL|PANIC): +(.*)", line)
        if of_server:
            return of_server.group(1).rstrip(".")
    own = [line.partition("error: ")[2] for line in lines if "error: " in line]
    return next(iter([*own, *lines]), "it said nothing").rstrip(".")

# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_dump: its arguments, and what its failures mean."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ...core.errors import OperationError, Reason
from ..server.connection import Server
from ..server.program_failure import program_failure
from ..server.programs import Program

_ANSWER_TIMEOUT_S = 120
_LONGEST = 300


def dump_command(
    pg_dump: Program,
    folder: Path,
    snapshot_id: str,
    jobs: int,
    lock_timeout_s: float,
    exclude_schemas: Sequence[str],
    exclude_tables: Sequence[str],
) -> list[str]:
    """pg_dump into an empty folder; connection and database come by the environment.

    Raw, as zstd does better and on more cores; without fsync, as nothing stays there.
    """
    return [
        pg_dump.path,
        "--format=directory",
        "--compress=0",
        f"--jobs={jobs}",
        "--no-sync",
        "--no-password",
        f"--file={folder}",
        f"--snapshot={snapshot_id}",
        f"--lock-wait-timeout={int(lock_timeout_s * 1000)}",
        *(f"--exclude-schema={pattern}" for pattern in exclude_schemas),
        *(f"--exclude-table={pattern}" for pattern in exclude_tables),
    ]


def dump_roles(pg_dumpall: Program, server: Server, database: str) -> bytes:
    """The server's roles, memberships and settings of roles as SQL, without passwords."""
    said = subprocess.run(
        [pg_dumpall.path, "--roles-only", "--no-role-passwords", "--no-password"],
        env=server.environment(database),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_ANSWER_TIMEOUT_S,
        check=False,
    )
    if said.returncode != 0:
        text = said.stderr.decode(errors="replace")
        raise dump_failure("read the server's roles", "pg_dumpall", said.returncode, text)
    return said.stdout


# What pg_dump says -> reason and next step. From its source, src/bin/pg_dump, and the server's.
_FAILURES = (
    (
        r"unsupported startup parameter",
        Reason.PRECONDITION,
        "Give PostgreSQL's own address, or have the pooler ignore_startup_parameters = options",
    ),
    (
        r"row-level security",
        Reason.AUTH,
        "Dump as the tables' owner, or as a role with BYPASSRLS",
    ),
    (
        r"permission denied|must be (owner|superuser)",
        Reason.AUTH,
        "Grant this user SELECT on everything (role pg_read_all_data), or dump as the owner",
    ),
    (
        r"lock timeout|LOCK TABLE .*ACCESS SHARE",
        Reason.LOCKED,
        "Wait until the session that locks the table has ended, or end it; see pg_locks",
    ),
    (
        r"No space left|[Dd]isk quota",
        Reason.BUDGET,
        "Free 150 MB in the scratch folder, or name another in scratch",
    ),
    (
        r"server version mismatch",
        Reason.MISSING_PROGRAM,
        "Name in bin_dir the folder of a pg_dump as new as the server",
    ),
    (
        r"max_locks_per_transaction|out of shared memory|too many (connections|clients)|"
        r"remaining connection slots",
        Reason.BUDGET,
        "Use fewer jobs, or raise what the message names on the server",
    ),
    (
        r"no matching (tables|schemas)|invalid regular expression|improper qualified name",
        Reason.INVALID_INPUT,
        "Check the patterns against the database's names",
    ),
    (
        r"terminating connection|server closed the connection|connection to server|"
        r"could not receive|recovery mode|shutting down|starting up",
        Reason.UNREACHABLE,
        "Look at the server's log, and run this again once it is up",
    ),
)


def dump_failure(wanted: str, program: str, code: int, said: str) -> OperationError:
    """The error for a pg_dump (or pg_dumpall) that ended with `code` after saying this."""
    return program_failure(wanted, program, code, said, _FAILURES, _first_error)


def _first_error(said: str) -> str:
    """The first complaint, in one line, without what pg_dump puts before it."""
    text = said.partition("error: ")[2] or said
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return "it said nothing"
    sentence = re.sub(r"^(query failed: )?(ERROR|FATAL): +", "", lines[0]).rstrip(".")
    return sentence if len(sentence) <= _LONGEST else f"{sentence[:_LONGEST]}..."

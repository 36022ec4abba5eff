# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the words of pg_restore and psql mean."""

from __future__ import annotations

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.restore.restore_failure import (
    restore_failure,
)

PREAMBLE = (
    "pg_restore: while PROCESSING TOC:\n"
    "pg_restore: from TOC entry 217; 1259 16385 TABLE t postgres\n"
    "pg_restore: error: could not execute query: "
)


@pytest.mark.parametrize(
    ("said", "reason", "seen"),
    [
        (
            PREAMBLE + 'ERROR:  role "gone" does not exist\nCommand was: ALTER TABLE …',
            "precondition",
            'role "gone" does not exist',
        ),
        (PREAMBLE + "ERROR:  must be owner of schema x\n", "auth", "must be owner of schema x"),
        (PREAMBLE + 'ERROR:  must be able to SET ROLE "a"\n', "auth", "must be able to SET ROLE"),
        (
            PREAMBLE + 'ERROR:  extension "postgis" is not available\nDETAIL:  Could not open …',
            "precondition",
            'extension "postgis" is not available',
        ),
        (
            'pg_restore: error: COPY failed for table "t": ERROR:  could not extend file: '
            "No space left on device\nHINT:  Check free disk space.",
            "budget",
            "No space left on device",
        ),
        (
            "pg_restore: error: error returned by PQputCopyData: server closed the connection "
            "unexpectedly\n\tThis probably means …",
            "unreachable",
            "server closed the connection unexpectedly",
        ),
        (
            'pg_restore: error: connection to server at "::1" failed: FATAL:  the database system'
            " is shutting down",
            "unreachable",
            "the database system is shutting down",
        ),
        (PREAMBLE + "ERROR:  out of shared memory\nHINT:  …", "budget", "out of shared memory"),
        ("pg_restore: error: unsupported version (1.17) in file header", "integrity", "1.17"),
        ("pg_restore: error: could not read from input file: end of file", "integrity", "end of"),
        ("psql:<stdin>:5: error: invalid command \\restrict", "missing_program", "restrict"),
        (
            'psql:<stdin>:12: ERROR:  relation "t" already exists',
            "failed_state",
            'line 12: relation "t" already exists',
        ),
        (
            "pg_restore: error: a worker process died unexpectedly",
            "failed_state",
            "a worker process died unexpectedly",
        ),
        ("", "failed_state", "it said nothing"),
    ],
)
def test_each_complaint_has_its_reason(said, reason, seen):
    failure = restore_failure("restore x", "pg_restore", 1, said)
    assert failure.reason.value == reason
    assert seen in failure.seen
    assert "\n" not in failure.seen
    assert failure.details["log_tail"] == said


def test_a_signal_is_named():
    failure = restore_failure("restore x", "pg_restore", -9, "")
    assert failure.reason.value == "failed_state"
    assert "SIGKILL" in failure.seen

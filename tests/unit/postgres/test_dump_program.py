# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pg_dump's last words mean for the one who ran the backup."""

from __future__ import annotations

import pytest
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.core.errors import Reason
from ansible_collections.optiinfra.cost_agent.plugins.module_utils.postgres.backup.dump_program import (
    dump_failure,
)

# As PostgreSQL 15 and 17 say it.
SAID = [
    (
        "pg_dump: error: query failed: ERROR:  permission denied for table invoices\n"
        "pg_dump: detail: Query was: LOCK TABLE public.invoices IN ACCESS SHARE MODE",
        Reason.AUTH,
        "permission denied for table invoices",
    ),
    (
        "pg_dump: error: query failed: ERROR:  canceling statement due to lock timeout\n"
        "pg_dump: detail: Query was: LOCK TABLE public.t IN ACCESS SHARE MODE",
        Reason.LOCKED,
        "canceling statement due to lock timeout",
    ),
    (
        "pg_dump: error: could not write to file: No space left on device",
        Reason.BUDGET,
        "could not write to file: No space left on device",
    ),
    (
        "pg_dump: error: query failed: ERROR:  query would be affected by row-level security "
        'policy for table "t"\nHINT:  To disable the policy for the table\'s owner, use ALTER',
        Reason.AUTH,
        'query would be affected by row-level security policy for table "t"',
    ),
    (
        "pg_dump: error: aborting because of server version mismatch\n"
        "pg_dump: detail: server version: 17.4; pg_dump version: 15.12",
        Reason.MISSING_PROGRAM,
        "aborting because of server version mismatch",
    ),
    (
        'pg_dump: error: Dumping the contents of table "t" failed: PQgetCopyData() failed.\n'
        "pg_dump: detail: Error message from server: server closed the connection unexpectedly",
        Reason.UNREACHABLE,
        'Dumping the contents of table "t" failed: PQgetCopyData() failed',
    ),
    (
        'pg_dump: error: no matching schemas were found for pattern "nix"',
        Reason.INVALID_INPUT,
        'no matching schemas were found for pattern "nix"',
    ),
    (
        "pg_dump: error: query failed: ERROR:  out of shared memory\n"
        'HINT:  You might need to increase "max_locks_per_transaction".',
        Reason.BUDGET,
        "out of shared memory",
    ),
    ("pg_dump: error: something new", Reason.FAILED_STATE, "something new"),
    ("", Reason.FAILED_STATE, "it said nothing"),
]


@pytest.mark.parametrize(("said", "reason", "seen"), SAID, ids=[reason for _s, reason, _w in SAID])
def test_a_failure_gets_its_reason_and_its_first_sentence(said, reason, seen):
    failure = dump_failure("back cost_agent up", "pg_dump", 1, said)
    assert failure.reason is reason
    assert failure.seen.endswith(seen)
    assert failure.details["log_tail"] == said


def test_a_killed_program_is_said_to_be_killed():
    failure = dump_failure("back cost_agent up", "pg_dump", -9, "")
    assert failure.reason is Reason.FAILED_STATE
    assert "SIGKILL" in failure.seen
